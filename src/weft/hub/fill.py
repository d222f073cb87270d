"""A module's parameters, read from mapped tensors one at a time, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn

from weft.hub.error import LoadError
from weft.hub.moves import MismatchError, Move
from weft.hub.weights import Weights, some

Device = torch.device | str | None


class Incoming(Mapping[str, Tensor]):
    """A module's tensors by our names, each made of the files' when it is asked for: views where nothing changes, else
    copies, of which the last is held.

    dtypes: of each, as in the file.

    LoadError for a missing or unexpected tensor, and, when it is asked for, for a mis-shaped one.
    """

    def __init__(
        self, wanted: Mapping[str, Tensor], weights: Weights, moves: Iterable[Move], names: Mapping[str, str], of: str
    ) -> None:
        """wanted: the module's own, on the meta device; moves: for every one of them, where it comes from; names: by
        those of the moves, the file's; of: the family, for errors."""
        self._moves = {name: move for move in moves for name in move.ours}
        self._wanted, self._weights, self._names = wanted, weights, names
        _match(list(dict.fromkeys(move.theirs for move in self._moves.values())), names, weights, of)
        self.dtypes = {name: weights.dtype(self.file(name)) for name in self._moves}
        self._read = lru_cache(maxsize=1)(self._pieces)  # a joined tensor is cut once, not once a part

    def __getitem__(self, name: str) -> Tensor:
        piece, want = self._read(self._moves[name])[name], self._wanted[name]
        if piece.shape != want.shape:
            move = self._moves[name]
            made = move.write({part: self._wanted[part] for part in move.ours})  # as the file should have it
            shape = list(self._weights.entries[self.file(name)].shape)
            raise LoadError(f"{self.where(name)} is {shape}, config.json makes it {list(made.shape)}")
        if piece.is_floating_point() != want.is_floating_point():
            raise LoadError(f"{self.where(name)} is {piece.dtype}, the model's {want.dtype}: these are not its weights")
        return piece

    def __iter__(self) -> Iterator[str]:
        return iter(self._moves)

    def __len__(self) -> int:
        return len(self._moves)

    def file(self, name: str) -> str:
        """What the file calls the tensor that one of ours is made of."""
        return self._names[self._moves[name].theirs]

    def where(self, name: str) -> str:
        """Which tensor of which file that is, for people."""
        return f"{self._weights.paths[self.file(name)]}: tensor {self.file(name)}"

    def _pieces(self, move: Move) -> dict[str, Tensor]:
        file = self._names[move.theirs]
        try:
            return move.read(self._weights[file])
        except MismatchError as error:
            raise LoadError(f"{self._weights.paths[file]}: {error}") from error


def fill(
    module: nn.Module, incoming: Incoming, *, dtype: torch.dtype = torch.float32, device: Device = None
) -> tuple[str, ...]:
    """Give an empty module (on the meta device) its tensors; notices.

    dtype: of what is a floating-point number. LoadError for a tensor that does not fit, and for a number that `dtype`
    cannot hold; a weight that is no number is a notice.
    """
    found, strange = dict[str, Tensor](), list[str]()
    for name, piece in incoming.items():
        given = piece.to(device=device, dtype=dtype) if piece.is_floating_point() else piece.to(device=device)
        if not finite(piece):
            strange.append(incoming.file(name))
        elif given.dtype != piece.dtype and not finite(given):
            raise LoadError(f"{incoming.where(name)} has numbers that {dtype} cannot hold: ask for another dtype")
        found[name] = given
    module.load_state_dict(found, strict=True, assign=True)
    bare = [name for name, tensor in (*module.named_parameters(), *module.named_buffers()) if tensor.is_meta]
    assert not bare, f"never filled: {bare}"
    return not_finite(strange)


def not_finite(files: Iterable[str]) -> tuple[str, ...]:
    """The notice of tensors that hold what is no number."""
    names = sorted(set(files))
    return (f"weights that are no finite numbers: {some(names)}",) if names else ()


def finite(tensor: Tensor) -> bool:
    """In one pass, with nothing beside it: NaN and infinities reach the extremes."""
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    low, high = tensor.aminmax()
    return bool(low.isfinite()) and bool(high.isfinite())


def _match(wanted: list[str], names: Mapping[str, str], weights: Weights, of: str) -> None:
    """LoadError unless what is wanted and what is there have the same names."""
    missing, unexpected = sorted(set(wanted) - names.keys()), sorted(names[name] for name in names.keys() - set(wanted))
    if not missing and not unexpected:
        return
    where = str(weights.files[0])
    if len(weights.files) > 1:
        where += f" and its {len(weights.files) - 1} other shards"
    parts = [f"lacks {some(missing)}"] if missing else []
    parts += [f"has {some(unexpected)}, which the model does not"] if unexpected else []
    raise LoadError(
        f"{where} {' and '.join(parts)}: config.json, which makes it a model of family {of!r}, and the weights are not "
        "of one model"
    )
