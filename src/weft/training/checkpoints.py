"""Checkpoints: written whole or not at all, verified before they are believed.

<run>/checkpoints/step-00000200/model.safetensors       parameters and persistent buffers
                                optimiser.safetensors   "<parameter>/<part of its state>"
                                average.safetensors     the averaged weights, where there are any
                                rest.safetensors        buffers that are not persistent and extra state, likewise
                                state.json              everything else, and the digests of all

Of a run whose weights are in shares: model/, optimiser/, average/, rest/, each with a file from every process (see
`sharded`).
Either kind is restored into any run, on any number of processes.
"""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from weft.files import DamagedFile, digest, new_folder, read_json, read_tensors, sweep, write_bytes, write_tensors
from weft.training import sharded
from weft.training.average import Average
from weft.training.generators import told_apart
from weft.training.optimisers import Optimiser
from weft.training.rest import check_rest, load_rest
from weft.training.world import ALONE, World

FOLDER, STATE = "checkpoints", "state.json"
NAME = re.compile(r"step-(\d{8,})")
MODEL, OPTIMISER, AVERAGE = "model.safetensors", "optimiser.safetensors", "average.safetensors"
REST = "rest.safetensors"
TENSOR_FILES = (MODEL, OPTIMISER)  # those that every checkpoint has
SUFFIX = ".safetensors"
PART = re.compile(rf"(model|optimiser|average|rest)(\.safetensors|/{sharded.FILES})")


class SaveFailed(ValueError):
    """Something could not be written; what was there before is intact."""


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint on disk. `refused` holds newer ones found damaged, `notices` says why, for people."""

    path: Path
    step: int
    state: dict[str, Any]
    refused: tuple[Path, ...] = ()
    notices: tuple[str, ...] = ()

    def restore(self, module: Module, optimiser: Optimiser, average: Average | None = None, rank: int = 0) -> None:
        """Put weights, optimiser state, what else the module keeps, and torch's default generator of process `rank`
        back. ValueError names whatever does not fit; the module is then as it was."""
        weights = read(self.path, MODEL)
        check_module(module, weights, self.path / MODEL)
        tensors = read(self.path, REST) if any(file.startswith("rest") for file in self.state["digests"]) else {}
        check_rest(module, tensors, self.state["extra"], self.path)
        optimiser.load(read(self.path, OPTIMISER))
        if average is not None:
            average.load(read(self.path, AVERAGE))
        copy_module(module, weights)  # last: it alone outlives a failure
        load_rest(module, tensors, self.state["extra"])
        generators = [decoded(text) for text in self.state["generators"]]
        torch.set_rng_state(generators[rank] if rank < len(generators) else told_apart(generators[0], rank))


def save(
    folder: Path,
    step: int,
    files: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    *,
    keep: int,
    world: World = ALONE,
) -> Path:
    """Write the checkpoint of `step` and `tidy` those before it. Returns its folder.

    `state` is plain JSON data; its "needs" are the steps of other checkpoints that must stay as long as this one. The
    files are written beside their final place, synced, then renamed, so that a kill or a full disk at any moment leaves
    the previous checkpoint as it was. SaveFailed where writing or tidying fails. With a `world` the tensors are shares
    and all its processes call this: each writes its own, the main one does all else.
    """
    parent = folder / FOLDER
    final = parent / folder_name(step)
    try:
        with ExitStack() as stack:
            temporary = world.asked(lambda: stack.enter_context(new_folder(final)))
            for name, tensors in files.items():
                if world.size == 1:
                    write_tensors(temporary / name, tensors)
                else:
                    sharded.write(temporary / name.removesuffix(SUFFIX), tensors, world)
            world.asked(partial(_seal_files, temporary, {**state, "step": step}))
    except OSError as error:
        before = [path.name for path in steps(parent)] if parent.is_dir() else []
        intact = f"{before[0]} before it is intact" if before else "there was none before it"
        raise SaveFailed(
            f"checkpoint {final} could not be written: {error.strerror or error}; {intact}. "
            "Make room, or name a folder that can be written, and resume"
        ) from error
    if world.main:
        tidy(folder, keep=keep)
    return final


def tidy(folder: Path, *, keep: int, spare: Collection[int] = ()) -> None:
    """Remove what killed processes left half written, and all checkpoints but the newest `keep`, those which these
    need, and those of the steps `spare`. SaveFailed where one cannot be removed. Only where nobody is writing."""
    parent = folder / FOLDER
    if not parent.is_dir():
        return
    try:
        sweep(parent)
        found = steps(parent)
        spared = {folder_name(step) for step in (*spare, *(step for path in found[:keep] for step in _needs(path)))}
        for old in found[keep:]:
            if old.name not in spared:
                remove(old)
    except OSError as error:
        raise SaveFailed(
            f"{parent} could not be rid of older checkpoints: {error}; the newest is intact. "
            "Make the folder writable, and resume"
        ) from error


def _needs(path: Path) -> Collection[int]:
    """The steps of the checkpoints which that in `path` needs; of one that cannot be read, which nobody goes on from,
    none."""
    try:
        return read_json(path / STATE)["needs"]
    except (ValueError, OSError, KeyError, TypeError):
        return ()


def _seal_files(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the state with the digests of all files of tensors beside it."""
    digests = {name: digest(folder / name) for name in tensor_files(folder)}
    write_bytes(folder / STATE, seal({**state, "digests": digests}).encode())


def tensor_files(folder: Path) -> list[str]:
    """The files of tensors in a checkpoint's folder, shares too, as they are named from there."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(f"*{SUFFIX}"))


def folder_name(step: int) -> str:
    """What the checkpoint of a step is called."""
    return f"step-{step:08d}"


def read(path: Path, name: str) -> Mapping[str, Tensor]:
    """The tensors in one file of the checkpoint in `path`, or in the shares of it."""
    shares = path / name.removesuffix(SUFFIX)
    return sharded.Shards(shares) if shares.is_dir() else read_tensors(path / name)


def latest(folder: Path) -> Checkpoint | None:
    """The newest good checkpoint of a run, or None where there is none at all.

    Every file's digest is verified, newest first. A damaged one is refused and said so in `notices`; ValueError where
    all are damaged. Never guesses: nothing is loaded here.
    """
    parent = folder / FOLDER
    found = steps(parent) if parent.is_dir() else []
    refused: list[Path] = []
    notices: list[str] = []
    for path in found:
        try:
            state = verify(path)
        except (ValueError, OSError) as error:  # DamagedFile is a ValueError
            refused.append(path)
            notices.append(f"checkpoint {path.name} is refused: {error}")
            continue
        if refused:
            notices.append(f"the last good checkpoint is {path.name}; going on from there")
        return Checkpoint(path, state["step"], state, tuple(refused), tuple(notices))
    if found:
        raise ValueError(
            f"no checkpoint in {parent} is good: " + "; ".join(notices) + ". Restore one from a copy, or start anew"
        )
    return None


def verify(path: Path) -> dict[str, Any]:
    """The state of the checkpoint in `path`, every byte of it checked. DamagedFile names the file and the reason."""
    file = path / STATE
    state = read_json(file)
    if not isinstance(state, dict):
        raise DamagedFile(f"{file}: not a JSON object")
    digests = state.get("digests")
    state.pop("digest", None)
    # sealing again must give the same bytes, so that not even a changed blank passes
    if file.read_bytes() != seal(state).encode() or not isinstance(digests, dict):
        raise DamagedFile(f"{file}: its contents do not match the digest in it")
    if odd := [name for name in sorted({*digests, *tensor_files(path)}) if not PART.fullmatch(name)]:
        raise DamagedFile(f"{file}: {', '.join(odd)} is no file of a checkpoint")
    parts = {match[1] + SUFFIX for name in digests if (match := PART.fullmatch(name))}
    for name in dict.fromkeys([*(set(TENSOR_FILES) - parts), *digests, *tensor_files(path)]):
        if not (path / name).is_file():
            raise DamagedFile(f"{path / name}: missing")
        if digest(path / name) != digests.get(name):
            raise DamagedFile(f"{path / name}: its sha256 is not the one recorded when it was written")
    if path.name != folder_name(state.get("step", -1)):
        raise DamagedFile(f"{file}: holds step {state.get('step')}, which is not the folder's")
    return state


def set_aside(path: Path) -> Path:
    """Rename a refused checkpoint so that it neither counts as one nor is lost; returns the new name."""
    aside = path.with_name(f"refused-{path.name}")
    if aside.exists():
        shutil.rmtree(aside)
    return path.rename(aside)


def seal(state: Mapping[str, Any]) -> str:
    """The JSON text of `state` with its own sha256 as the member "digest"."""
    plain = json.dumps(state, sort_keys=True, allow_nan=False)
    sealed = {**state, "digest": hashlib.sha256(plain.encode()).hexdigest()}
    return json.dumps(sealed, sort_keys=True, allow_nan=False, indent=1) + "\n"


def steps(parent: Path) -> list[Path]:
    """The checkpoint folders in `parent`, newest first; leftovers of unfinished writes are not among them."""
    found = {int(match[1]): path for path in parent.iterdir() if (match := NAME.fullmatch(path.name))}
    return [found[step] for step in sorted(found, reverse=True)]


def remove(path: Path) -> None:
    """Delete a checkpoint; killed half-way it leaves what `sweep` removes, never a checkpoint that looks damaged."""
    doomed = path.rename(path.with_name(f".{path.name}.old.writing"))
    shutil.rmtree(doomed, ignore_errors=True)


def module_tensors(module: Module) -> dict[str, Tensor]:
    """The module's own parameters and persistent buffers by name; a shared one once, under its first name."""
    kept = module.state_dict(keep_vars=True)  # knows which buffers are persistent
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: tensor for name, tensor in named.items() if name in kept}


def load_module(module: Module, tensors: Mapping[str, Tensor], source: Path | str) -> None:
    """Copy `tensors` into the module, in place so that ties hold. ValueError names any that does not fit; nothing is
    copied then."""
    check_module(module, tensors, source)
    copy_module(module, tensors)


def check_module(module: Module, tensors: Mapping[str, Tensor], source: Path | str) -> None:
    """ValueError names what of `tensors`, read from `source`, is not the module's, or of another shape or type."""
    mine = module_tensors(module)
    if missing := sorted(set(mine) - set(tensors)):
        raise ValueError(f"{source} lacks {', '.join(missing)}; the model was built with other settings")
    if extra := sorted(set(tensors) - set(mine)):
        raise ValueError(f"{source} holds {', '.join(extra)}, which the model lacks; it was built with other settings")
    for name, tensor in mine.items():
        given = tensors[name]
        if given.shape != tensor.shape or given.dtype != tensor.dtype:
            raise ValueError(
                f"{source}: {name} is {given.dtype} {list(given.shape)}, "
                f"the model's is {tensor.dtype} {list(tensor.shape)}; build the model as it was built for the run"
            )


@torch.no_grad()
def copy_module(module: Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy into the module what `check_module` has let pass."""
    for name, tensor in module_tensors(module).items():
        tensor.copy_(sharded.share(tensors[name], tensor))


def whole_tensors(module: Module) -> dict[str, Tensor]:
    """`module_tensors`, on the CPU, whole where they are shares; called by all processes together, before saving."""
    return {name: sharded.whole(tensor.detach()).cpu() for name, tensor in module_tensors(module).items()}


def encoded(generator: Tensor) -> str:
    """A generator's state, uint8 [N], as base64."""
    return base64.b64encode(generator.numpy().tobytes()).decode("ascii")


def decoded(text: str) -> Tensor:
    """The inverse of `encoded`."""
    return torch.frombuffer(bytearray(base64.b64decode(text, validate=True)), dtype=torch.uint8)
