"""Masks of blocks: which block of places sees which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from weft.nn.layout import Layout
from weft.nn.mask import Mask, Ranges, check, orders, unite


@dataclass(frozen=True)
class Blocks(Mask):
    """Blocks of `size` places; `table[i][j]`: does query block i see key block j? (BigBird, sparse transformers).
    Blocks beyond the table see nothing and are not seen."""

    size: int
    table: tuple[tuple[bool, ...], ...]

    def __post_init__(self) -> None:
        check(1, size=self.size)
        lengths = sorted({len(row) for row in self.table})
        if len(lengths) != 1 or not lengths[0]:
            raise ValueError(f"a table of blocks has rows of one length, at least 1, not of {lengths or 'none'}")

    def allows(self, q: Layout, k: Layout) -> Tensor:
        ours, theirs = orders(q, k)
        table = torch.tensor(self.table, dtype=torch.bool, device=ours.device)
        rows, columns = table.shape
        i, j = ours // self.size, theirs // self.size  # [B, T, 1], [B, 1, S]
        seen = table[i.clamp(max=rows - 1), j.clamp(max=columns - 1)]  # [B, T, S]
        return seen & (i < rows) & (j < columns)

    def spans(self, start: int, stop: int, length: int) -> Ranges:
        rows = self.table[start // self.size : (stop - 1) // self.size + 1]
        return _blocks({j for row in rows for j, seen in enumerate(row) if seen}, self.size, length)


@dataclass(frozen=True)
class RandomBlocks(Mask):
    """Blocks of `size` places; a block sees `count` of those before it, and is seen by them (after BigBird, Zaheer et
    al. 2020). One is drawn from each of `count` equal parts of what lies before.

    The draw is a function of (seed, block) alone: a row is the same whatever its length and its companions. BigBird's
    own depends on the row's length.
    """

    size: int
    count: int
    seed: int = 0

    def __post_init__(self) -> None:
        check(1, size=self.size)
        check(0, count=self.count, seed=self.seed)

    def allows(self, q: Layout, k: Layout) -> Tensor:
        ours, theirs = orders(q, k)
        i, j = ours // self.size, theirs // self.size  # [B, T, 1], [B, 1, S]
        seen = (i < 0) & (j < 0)  # [B, T, S]
        for part in range(self.count):
            seen = seen | (self._drawn(i, part) == j) | (self._drawn(j, part) == i)
        return seen

    def spans(self, start: int, stop: int, length: int) -> Ranges:
        first, last, parts = start // self.size, (stop - 1) // self.size, range(self.count)
        before = {self._drawn(i, part) for i in range(first, last + 1) for part in parts}
        after = range(first + 1, (length - 1) // self.size + 1)
        behind = {j for j in after if any(first <= self._drawn(j, part) <= last for part in parts)}
        return _blocks((before | behind) - {-1}, self.size, length)

    def _drawn(self, block: Any, part: int) -> Any:
        """The block that `block`, a number or a tensor of them, draws from a part of those before it; -1: none."""
        low = part * block // self.count
        width = (part + 1) * block // self.count - low
        noise = (block * 0x9E3779 + part * 0x85EBCA + self.seed % 2**31 * 0xC2B2AE) & 0x7FFFFFFF
        for _ in range(3):  # of 31 bits, so that no product overflows 64
            noise = ((noise >> 15) ^ noise) * 0x45D9F3B & 0x7FFFFFFF
        none = width == 0
        return (low + (noise >> 7) % (width + none)) * (width > 0) + none * -1


def _blocks(blocks: Iterable[int], size: int, length: int) -> Ranges:
    """The places of blocks of `size`, as far as there are any."""
    return unite([(block * size, min(length, (block + 1) * size)) for block in blocks])
