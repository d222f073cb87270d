"""The way back: config and tensors by the names of a layout, the tensors as one file or shards."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from weft.files import write_json, write_tensors
from weft.hub.fields import write_fields
from weft.hub.fill import finite
from weft.hub.moves import Move, writing
from weft.hub.names import names_of, spares
from weft.hub.published import Origin
from weft.hub.weights import INDEX, WEIGHTS
from weft.models import FAMILIES, Blueprint

_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")


class Outgoing(Mapping[str, Tensor]):
    """Tensors by the names of the file, each made when it is asked for."""

    def __init__(
        self,
        moves: Mapping[str, Move],
        ours: Mapping[str, Tensor],
        dtype: Callable[[str], torch.dtype],
        dead: Mapping[str, Tensor] | None = None,
    ) -> None:
        """dtype: of our tensor of a name, where it is a floating-point number; dead: what stands in place of ours, or
        beside them."""
        self._moves, self._ours, self._dtype, self._dead = moves, ours, dtype, dead or {}
        self._names = tuple(dict.fromkeys((*moves, *self._dead)))

    def __getitem__(self, name: str) -> Tensor:
        if name in self._dead:
            return self._dead[name]
        tensor = self._moves[name].write(self._ours)
        if not tensor.is_floating_point():
            return tensor
        given = tensor.to(self._dtype(self._moves[name].ours[0]))
        if given.dtype != tensor.dtype and not finite(given) and finite(tensor):
            raise ValueError(f"tensor {name} has numbers that {given.dtype} cannot hold: ask for another dtype")
        return given

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def published_config(blueprint: Blueprint, origin: Origin, dtype: torch.dtype) -> dict[str, Any] | None:
    """config.json as the reference library reads it, in the order of the one it came from; None for a model that it has
    no class for."""
    data = write_fields(blueprint, origin.config)
    if data is None:
        return None
    data |= {"dtype": str(dtype).removeprefix("torch.")}
    return {name: data[name] for name in dict.fromkeys((*origin.config, *data)) if name in data}


def outgoing(
    blueprint: Blueprint,
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any] | None,
    origin: Origin,
    dtype: torch.dtype | None,
) -> Outgoing:
    """A module's tensors by the names of the layout that `config` is in (None: our own), in the dtype each had in the
    file it came from, or in `dtype`."""

    def kept(name: str) -> torch.dtype:
        if dtype is not None:
            return dtype
        return origin.dtypes.get(name, origin.dtype if origin.dtypes else tensors[name].dtype)

    if config is None:
        return Outgoing({name: Move(name, (name,)) for name in tensors}, tensors, kept)
    family = FAMILIES.get(blueprint.family)
    assert family.published is not None
    bare = config["architectures"][0] in family.published.bare
    moves = writing(family.table(blueprint.config), tensors)
    named = partial(names_of, family.published, blueprint.config, bare=bare)
    written = {name: move for move in moves for name in named(move.theirs)}
    ours = {move.theirs for move in moves}
    dead = {named(name)[0]: tensor for name, tensor in origin.dead.items() if name not in ours or len(named(name)) > 1}
    for spare in spares(family.published, blueprint.config):
        (name,) = named(spare.theirs)
        if spare.theirs in origin.dead:
            dead[name] = origin.dead[spare.theirs]
        elif spare.like:
            written[name] = written[named(spare.like)[0]]
    return Outgoing(written, tensors, kept, dead)


def write_weights(
    folder: Path, tensors: Mapping[str, Tensor], *, shard: int | None = None, metadata: Mapping[str, str] | None = None
) -> None:
    """One file, or shards of at most `shard` bytes (a larger tensor has one of its own) with an index.

    What is there is replaced when all is written: the old files are whole until then, and a map of them stays theirs.
    """
    shards = _divide({name: tensor.numel() * tensor.element_size() for name, tensor in tensors.items()}, shard)
    if len(shards) == 1:
        write_tensors(folder / WEIGHTS, tensors, metadata)
        new = {WEIGHTS}
    else:
        new = _write_shards(folder, tensors, shards, metadata)
    for path in folder.iterdir():  # of what was there before, which would be read beside it
        if path.name not in new and (path.name in (WEIGHTS, INDEX) or _SHARD.fullmatch(path.name)):
            path.unlink()


def _write_shards(
    folder: Path, tensors: Mapping[str, Tensor], shards: list[list[str]], metadata: Mapping[str, str] | None
) -> set[str]:
    """Write them aside, then put them into place, the index last: half of them are never taken for a model."""
    files = [f"model-{number:05d}-of-{len(shards):05d}.safetensors" for number in range(1, len(shards) + 1)]
    aside = Path(tempfile.mkdtemp(prefix=".weights.", suffix=".writing", dir=folder))
    try:
        size = 0
        for file, names in zip(files, shards, strict=True):
            part = {name: tensors[name] for name in names}
            size += sum(tensor.numel() * tensor.element_size() for tensor in part.values())
            write_tensors(aside / file, part, metadata)
        (folder / INDEX).unlink(missing_ok=True)
        (folder / WEIGHTS).unlink(missing_ok=True)
        for file in files:
            (aside / file).replace(folder / file)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    places = {name: file for file, names in zip(files, shards, strict=True) for name in names}
    write_json(folder / INDEX, {"metadata": {"total_size": size}, "weight_map": dict(sorted(places.items()))})
    return {INDEX, *files}


def _divide(sizes: Mapping[str, int], most: int | None) -> list[list[str]]:
    """Names in order, cut where the next would make a shard larger than `most` bytes."""
    shards: list[list[str]] = [[]]
    size = 0
    for name, own in sizes.items():
        if most is not None and shards[-1] and size + own > most:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += own
    return shards
