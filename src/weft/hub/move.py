"""One tensor of another's file, and those of ours that it is; see `weft.hub.moves`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


class MismatchError(ValueError):
    """Names that do not fit the table."""


@dataclass(frozen=True)
class Move:
    """One foreign tensor and those of ours that it is, in order.

    transposed: where it is a matrix. row: stored as the one row of an axis before its own (-1: without the axis of
    which it is the row). stack: how many things its first axis counts (0: it counts none). groups, parts: how what is
    joined lies, see "join"; no parts: equal ones. flat: what a matrix's second axis is stored as. pairs: its halves are
    stored in turn.
    """

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False
    row: Literal[-1, 0, 1] = 0
    stack: int = 0
    groups: int = 1
    parts: tuple[int, ...] = ()
    flat: tuple[int, ...] = ()
    pairs: bool = False

    def read(self, tensor: Tensor) -> dict[str, Tensor]:
        """Theirs as ours: views, but for a matrix that is transposed. MismatchError where it cannot be cut."""
        if self.stack and (tensor.ndim == 0 or tensor.shape[0] != self.stack):
            raise MismatchError(f"{self.theirs} {list(tensor.shape)} does not count {self.stack} along its first axis")
        if self.row > 0 and (tensor.ndim < 2 or tensor.shape[0] != 1):
            raise MismatchError(f"{self.theirs} {list(tensor.shape)} is no single row")
        if self.flat and tensor.ndim > 1:
            if tuple(tensor.shape[1:]) != self.flat:
                wanted = ", ".join(map(str, self.flat))
                raise MismatchError(f"{self.theirs} {list(tensor.shape)} is not [any, {wanted}]")
            tensor = tensor.flatten(1)
        tensor = torch.cat((tensor[:, 0::2], tensor[:, 1::2]), dim=1) if self.pairs else tensor
        tensor = tensor[None] if self.row < 0 else tensor
        whole = tensor.unbind(0) if self.stack else [tensor[0] if self.row > 0 else tensor]
        pieces = [piece for one in whole for piece in self._cut(one)]
        return dict(zip(self.ours, pieces, strict=True))

    def write(self, ours: Mapping[str, Tensor]) -> Tensor:
        """Ours as theirs, exact to the byte."""
        pieces = [ours[name] for name in self.ours]
        if not self.stack:
            made = self._join(pieces)
            made = made.unflatten(1, self.flat) if self.flat and made.ndim > 1 else made
            made = torch.stack(made.chunk(2, dim=1), dim=2).flatten(1) if self.pairs else made
            made = made[0] if self.row < 0 else made
            return made[None] if self.row > 0 else made
        count = len(pieces) // self.stack
        return torch.stack([self._join(pieces[first : first + count]) for first in range(0, len(pieces), count)])

    def _cut(self, tensor: Tensor) -> list[Tensor]:
        """The parts of one joined tensor, which lie along its output axis."""
        if tensor.ndim == 2 and self.transposed:
            tensor = tensor.t()
        count = len(self.ours) // (self.stack or 1)
        parts = self.parts or (1,) * count
        if count == 1:
            return [tensor.contiguous()]
        if tensor.ndim == 0 or tensor.shape[0] % (self.groups * sum(parts)):
            shape = list(tensor.t().shape if tensor.ndim == 2 and self.transposed else tensor.shape)
            how = f"{self.groups} times {':'.join(map(str, parts))}" if self.parts else f"{count} equal"
            raise MismatchError(f"{self.theirs} {shape} cannot be cut into {how} parts")
        unit = tensor.shape[0] // (self.groups * sum(parts))
        grouped = tensor.unflatten(0, (self.groups, -1))  # [groups, unit · sum(parts), ..]
        pieces = grouped.split([unit * part for part in parts], dim=1)
        return [piece.flatten(0, 1).contiguous() for piece in pieces]

    def _join(self, pieces: Sequence[Tensor]) -> Tensor:
        """One tensor of its parts."""
        if len(pieces) > 1:
            grouped = [piece.unflatten(0, (self.groups, -1)) for piece in pieces]  # [groups, unit · part, ..]
            whole = torch.cat(grouped, dim=1).flatten(0, 1)
        else:
            whole = pieces[0]
        return whole.t().contiguous() if self.transposed and whole.ndim == 2 else whole
