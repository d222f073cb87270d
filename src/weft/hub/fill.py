"""A module's parameters, filled from mapped tensors one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from weft.hub.error import LoadError
from weft.hub.weights import Weights, some
from weft.models.weights import MismatchError, Move

Device = torch.device | str | None


class Filled(NamedTuple):
    """dtypes: of each of our tensors, as in the file. notices: for people."""

    dtypes: dict[str, torch.dtype]
    notices: tuple[str, ...]


def fill(
    module: nn.Module,
    weights: Weights,
    moves: Iterable[Move],
    names: Mapping[str, str],
    *,
    dtype: torch.dtype = torch.float32,
    device: Device = None,
) -> Filled:
    """Give an empty module (on the meta device) its tensors: views of the file where nothing changes, else copies.

    moves: for every tensor of the module, where it comes from; names: by those of the moves, the file's. dtype: of what
    is a floating-point number. LoadError for a missing, unexpected or mis-shaped tensor, and for a number that `dtype`
    cannot hold; a weight that is no number is a notice.
    """
    wanted, moves = module.state_dict(), list(moves)
    _match([move.theirs for move in moves], names, weights)
    found, dtypes, strange = dict[str, Tensor](), dict[str, torch.dtype](), list[str]()
    for move in moves:
        file = names[move.theirs]
        where = f"{weights.paths[file]}: tensor {file}"
        try:
            pieces = move.read(weights[file])
        except MismatchError as error:
            raise LoadError(f"{weights.paths[file]}: {error}") from error
        for name, piece in pieces.items():
            want = wanted[name]
            _fits(piece, want, move, where)
            whole = bool(_finite(piece))
            given = piece.to(device=device, dtype=dtype) if want.is_floating_point() else piece.to(device=device)
            if not whole:
                strange.append(file)
            elif given.dtype != piece.dtype and not _finite(given):
                raise LoadError(f"{where} has numbers that {dtype} cannot hold: ask for another dtype")
            found[name], dtypes[name] = given, weights.dtype(file)
    module.load_state_dict(found, strict=True, assign=True)
    bare = [name for name, tensor in (*module.named_parameters(), *module.named_buffers()) if tensor.is_meta]
    assert not bare, f"never filled: {bare}"
    strange = sorted(set(strange))
    return Filled(dtypes, (f"weights that are no finite numbers: {some(strange)}",) if strange else ())


def _finite(tensor: Tensor) -> bool:
    """In one pass, with nothing beside it: NaN and infinities reach the extremes."""
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    low, high = tensor.aminmax()
    return bool(low.isfinite()) and bool(high.isfinite())


def _match(wanted: list[str], names: Mapping[str, str], weights: Weights) -> None:
    """LoadError unless what is wanted and what is there have the same names."""
    missing, unexpected = sorted(set(wanted) - names.keys()), sorted(names[name] for name in names.keys() - set(wanted))
    if not missing and not unexpected:
        return
    where = str(weights.files[0])
    if len(weights.files) > 1:
        where += f" and its {len(weights.files) - 1} other shards"
    parts = [f"lacks {some(missing)}"] if missing else []
    parts += [f"has {some(unexpected)}, which the model does not"] if unexpected else []
    raise LoadError(f"{where} {' and '.join(parts)}: config.json and the weights are not of one model")


def _fits(piece: Tensor, want: Tensor, move: Move, where: str) -> None:
    """LoadError unless a tensor has the shape and the sort of number that the module's has."""
    if piece.shape != want.shape:
        part = f" (a part of it, {list(piece.shape)})" if len(move.ours) > 1 else f" is {list(piece.shape)}"
        raise LoadError(f"{where}{part}, config.json makes it {list(want.shape)}")
    if piece.is_floating_point() != want.is_floating_point():
        raise LoadError(f"{where} is {piece.dtype}, the model's {want.dtype}: these are not its weights")
