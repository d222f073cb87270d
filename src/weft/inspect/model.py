"""`weft.describe`: what a model is made of, counted on tensors without contents, so that any size will do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from weft.flops import Counter
from weft.inspect.description import CacheBytes, Description, FieldFacts, Part, StackFacts
from weft.models import Blueprint
from weft.nn import (
    GRU,
    Alignment,
    Attention,
    Decoder,
    Embed,
    Encoder,
    EncoderDecoder,
    Field,
    LMHead,
    Position,
    Stack,
    StemPosition,
)
from weft.nn.slots import FixedSlot
from weft.nn.towers import Towers

USUAL = 1024  # tokens of a row, for a module that takes any
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@runtime_checkable
class Held(Protocol):
    """What holds a module and its description, as what `weft.load` gives does."""

    @property
    def module(self) -> nn.Module: ...

    @property
    def blueprint(self) -> Blueprint: ...


def describe(model: Blueprint | nn.Module | Held, *, length: int | None = None) -> Description:
    """What a model is made of: layers, fields, shapes, parameters, operations and bytes of cache.

        print(weft.describe(weft.load("models/gpt2")))

    model:  a blueprint, a bare module of a family, or a loaded model.
    length: tokens of the row that operations and cache are counted for; None: the context, 1,024 where there is none.

    Nothing is computed. ValueError for what is none of these, and for a row that the model cannot take.
    """
    if isinstance(model, nn.Module):
        module, blueprint = model, None
    elif isinstance(model, Blueprint):
        module, blueprint = model.empty(), model
    elif isinstance(model, Held):
        module, blueprint = model.module, model.blueprint
    else:
        raise ValueError(f"a {type(model).__name__} cannot be described: give a blueprint, a module or a loaded model")
    if not isinstance(module, Decoder | Encoder | EncoderDecoder | Towers):
        raise ValueError(f"a {type(module).__name__} cannot be described: it is no module that a family builds")
    context = module.context if blueprint is None else int(blueprint.config.context)
    row = length or context or USUAL
    return Description(
        family=None if blueprint is None else blueprint.family,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        context=context,
        length=row,
        operations=_operations(module, row) / row,
        stacks=tuple(_stack(name, part) for name, part in module.named_modules() if isinstance(part, Stack)),
        parts=tuple(_parts(module, "", set())),
        cache=() if isinstance(module, Encoder | Towers) else _cache(module.writing, row),
    )


class _Whole(nn.Module):
    """Hidden states and scores in one call."""

    def __init__(self, module: Decoder | Encoder | EncoderDecoder) -> None:
        super().__init__()
        self.module = module

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens int64 [B, T] -> [B, T, V]; an encoder–decoder reads them as its source too."""
        module = self.module
        x, _ = module(tokens, tokens) if isinstance(module, EncoderDecoder) else module(tokens)
        return x if isinstance(module, Encoder) and not module.heads else module.logits(x)


def _operations(module: Decoder | Encoder | EncoderDecoder | Towers, length: int) -> int:
    """Of the forward pass of one row; of two towers, of a text and a picture, until both are pooled."""
    if isinstance(module, Towers):
        return _operations(module.text, length) + _operations(module.image, module.source_context or length)
    whole = _Whole(module)
    with FakeTensorMode(), torch.no_grad(), Counter() as counter:
        named = (*whole.named_parameters(), *whole.named_buffers())
        empty = {name: torch.empty(tensor.shape, dtype=tensor.dtype) for name, tensor in named}
        torch.func.functional_call(whole, empty, (module.embed.blank(1, length),))
    return counter.total


def _stack(name: str, stack: Stack) -> StackFacts:
    fields = []
    for field_name, field in stack.fields.items():
        assert isinstance(field, Field)
        kind, says = type(field.position), field.position.extra_repr()
        position = "" if kind is Position else f"{kind.__name__}({says})"
        fields.append(FieldFacts(field_name, field.keys, str(field.mask), position))
    return StackFacts(name, len(stack.order), len(stack.layers), tuple(fields))


def _parts(module: nn.Module, path: str, seen: set[nn.Parameter], layers: str = "", times: int = 1) -> Iterator[Part]:
    """The parts of a module, in order. A run of equal layers is one; what was seen is not counted again."""
    own = dict(module.named_parameters(recurse=False))
    if own or _tells(module):
        new = sum(parameter.numel() for parameter in own.values() if parameter not in seen)
        seen.update(own.values())
        shapes = {name: list(parameter.shape) for name, parameter in own.items()}
        yield Part(path, layers, times, type(module).__name__, module.extra_repr(), shapes, new * times)
    for name, child in module.named_children():
        inner = f"{path}.{name}".lstrip(".")
        if layers or not isinstance(child, nn.ModuleList):
            yield from _parts(child, inner, seen, layers, times)
            continue
        for run, layer, equal in _runs(child):
            yield from _parts(layer, "", seen, f"{inner}.{run}", equal)


def _tells(module: nn.Module) -> bool:
    """Whether it is worth a line also where it owns no parameters: a tied head, a sinusoid."""
    placed = isinstance(module, StemPosition) and type(module) is not StemPosition
    return placed or isinstance(module, Attention | Embed | LMHead)


def _runs(layers: nn.ModuleList) -> Iterator[tuple[str, nn.Module, int]]:
    """Neighbours that look the same, as one: "0-5", the first of them, 6."""
    looks = [(repr(layer), [parameter.shape for parameter in layer.parameters()]) for layer in layers]
    start = 0
    for stop in range(1, len(looks) + 1):
        if stop == len(looks) or looks[stop] != looks[start]:
            yield str(start) if stop == start + 1 else f"{start}-{stop - 1}", layers[start], stop - start
            start = stop


def _cache(stack: Stack, length: int) -> tuple[CacheBytes, ...]:
    """What a row of `length` tokens takes, taken one at a time; none where the stack sees ahead."""
    try:
        stack.check_causal()
    except ValueError:
        return ()
    token = row = memory = fixed = 0  # numbers; bytes of what has its own dtype

    def count(attention: Attention | Alignment | GRU) -> FixedSlot:
        nonlocal token, row, memory, fixed
        if isinstance(attention, GRU):  # its state is as large in any row
            row += attention.width
            return FixedSlot()
        numbers = attention.kv_heads * (attention.head_width + attention.value_width)
        field = stack.fields[attention.field]
        assert isinstance(field, Field)
        core = attention.core if isinstance(attention, Attention) else None
        own = core.slot(attention, field.mask, 1) if core is not None and isinstance(attention, Attention) else None
        if own is not None:
            fixed += own.k.nbytes
        elif field.keys == "memory":
            memory += numbers
        else:
            back, _ = field.mask.reach()
            token += numbers
            row += numbers * (length if back is None else min(length, back + 1))
        return FixedSlot()  # something to stand where a cache's slot would

    for layer in stack.order:
        stack.layers[layer].slots(count)  # type: ignore[operator]
    sizes = {name: dtype.itemsize for name, dtype in DTYPES.items()}
    return tuple(CacheBytes(name, token * size, row * size + fixed, memory * size) for name, size in sizes.items())
