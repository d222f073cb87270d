"""What training changes in a module besides what its finished weights hold: buffers that are not persistent, and the
extra state of parts that define `get_extra_state`."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

EXTRA = "_extra_state"  # as torch's state_dict calls it


def extra_state(module: Module) -> dict[str, Any]:
    """The extra state of each part that has one, by name. ValueError for one that a checkpoint cannot hold: neither a
    tensor nor what JSON gives back as it was."""
    found: dict[str, Any] = {}
    for name, part in _with_extra(module).items():
        value = part.get_extra_state()
        if not isinstance(value, Tensor) and not _plain(value):
            raise ValueError(
                f"{name} is {value!r:.80}, which no checkpoint can hold, so that a resumed run would differ: let "
                f"get_extra_state of {type(part).__name__} give a tensor or plain data (dicts by text, lists, numbers)"
            )
        found[name] = value
    return found


def rest(module: Module) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the plain data, by name; the tensors are not copies."""
    extra = extra_state(module)
    kept = module.state_dict(keep_vars=True)
    tensors = {name: buffer for name, buffer in module.named_buffers() if name not in kept}
    tensors |= {name: value for name, value in extra.items() if isinstance(value, Tensor)}
    return tensors, {name: value for name, value in extra.items() if not isinstance(value, Tensor)}


def check_rest(module: Module, tensors: Mapping[str, Tensor], data: Mapping[str, Any], source: object) -> None:
    """ValueError where what was read from `source` is not this module's."""
    mine, plain = rest(module)
    parts = _with_extra(module)
    if odd := sorted((set(mine) | set(plain)) ^ (set(tensors) | set(data))):
        raise ValueError(
            f"{source} and the module differ in {', '.join(odd)}; build the model as it was built for the run"
        )
    for name, buffer in mine.items():
        given = tensors.get(name)
        if name not in parts and (given is None or (given.shape, given.dtype) != (buffer.shape, buffer.dtype)):
            raise ValueError(
                f"{source}: {name} is not the model's {buffer.dtype} {list(buffer.shape)}; build the model as it was "
                "built for the run"
            )


@torch.no_grad()
def load_rest(module: Module, tensors: Mapping[str, Tensor], data: Mapping[str, Any]) -> None:
    """Put back what `rest` gave."""
    parts = _with_extra(module)
    for name, buffer in rest(module)[0].items():
        if name not in parts:
            buffer.copy_(tensors[name])
    for name, part in parts.items():
        part.set_extra_state(tensors[name].clone() if name in tensors else deepcopy(data[name]))


@contextmanager
def undone(module: Module) -> Iterator[None]:
    """Inside it buffers, persistent or not, and extra state may change; they are put back, also where it fails."""
    buffers = {name: buffer.detach().clone() for name, buffer in module.named_buffers()}
    extra = deepcopy(extra_state(module))
    try:
        yield
    finally:
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                buffer.copy_(buffers[name])
        for name, part in _with_extra(module).items():
            part.set_extra_state(extra[name])


def _with_extra(module: Module) -> dict[str, Module]:
    parts = ((f"{name}.{EXTRA}" if name else EXTRA, part) for name, part in module.named_modules())
    return {name: part for name, part in parts if type(part).get_extra_state is not Module.get_extra_state}


def _plain(value: Any) -> bool:
    try:
        return json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError):
        return False
