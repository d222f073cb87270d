"""Masks are values: a small algebra with one definition, `allows`, materialised once per pass.

Which documents may see each other is not a mask's business: `visible` always adds the segment rule, and with it
padding, packing and unwritten cache places, in one line.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from weft.nn.layout import Layout

Reach = tuple[int | None, int | None]  # how far a query can see (back, ahead); None: without bound


class Mask(ABC):
    """Who may see whom within a document. Frozen; combine with & and |."""

    @abstractmethod
    def allows(self, q: Layout, k: Layout) -> Tensor:
        """bool, broadcastable to [B, T, S]: may query t see key s? Both layouts are numbered."""

    def reach(self) -> Reach:
        """A bound on the distance seen, so that a blocked kernel can leave the rest out."""
        return None, None

    def __and__(self, other: Mask) -> Mask:
        return Both(self, other)

    def __or__(self, other: Mask) -> Mask:
        return Either(self, other)


def _apart(q: Layout, k: Layout) -> Tensor:
    """How far back a key lies behind its query, [B, T, S]; negative: ahead."""
    assert q.order is not None and k.order is not None
    return q.order[:, :, None] - k.order[:, None, :]  # [B, T, S]


@dataclass(frozen=True)
class Full(Mask):
    """Every query sees every key."""

    def allows(self, q: Layout, k: Layout) -> Tensor:
        assert q.order is not None
        return torch.ones(1, 1, 1, dtype=torch.bool, device=q.order.device)


@dataclass(frozen=True)
class Causal(Mask):
    """A query sees itself and what came before."""

    def allows(self, q: Layout, k: Layout) -> Tensor:
        return _apart(q, k) >= 0

    def reach(self) -> Reach:
        return None, 0


@dataclass(frozen=True)
class Window(Mask):
    """A query sees the last `left` places, its own among them, and `right` places ahead: left + right keys in all."""

    left: int
    right: int = 0

    def __post_init__(self) -> None:
        if self.left < 1 or self.right < 0:
            raise ValueError(
                f"a window needs left >= 1 (the query itself) and right >= 0, not {self.left}, {self.right}"
            )

    def allows(self, q: Layout, k: Layout) -> Tensor:
        apart = _apart(q, k)
        return (apart < self.left) & (apart >= -self.right)

    def reach(self) -> Reach:
        return self.left - 1, self.right


@dataclass(frozen=True)
class Chunk(Mask):
    """Places are cut into chunks of `size`; a query sees its own chunk (local attention)."""

    size: int

    def allows(self, q: Layout, k: Layout) -> Tensor:
        assert q.order is not None and k.order is not None
        return (q.order // self.size)[:, :, None] == (k.order // self.size)[:, None, :]

    def reach(self) -> Reach:
        return self.size - 1, self.size - 1


@dataclass(frozen=True)
class SameGroup(Mask):
    """Places of one group see each other both ways (the tokens of one image in a causal stream)."""

    def allows(self, q: Layout, k: Layout) -> Tensor:
        if q.groups is None or k.groups is None:
            assert q.order is not None
            return torch.zeros(1, 1, 1, dtype=torch.bool, device=q.order.device)
        return (q.groups[:, :, None] == k.groups[:, None, :]) & (q.groups > 0)[:, :, None]


@dataclass(frozen=True)
class Global(Mask):
    """The first `tokens` places of a document see everything and are seen by everything (Longformer, ETC)."""

    tokens: int

    def allows(self, q: Layout, k: Layout) -> Tensor:
        assert q.order is not None and k.order is not None
        return (q.order < self.tokens)[:, :, None] | (k.order < self.tokens)[:, None, :]


@dataclass(frozen=True)
class Blocks(Mask):
    """Blocks of `size` places; `table[i][j]`: does query block i see key block j? (BigBird, sparse transformers)."""

    size: int
    table: tuple[tuple[bool, ...], ...]

    def allows(self, q: Layout, k: Layout) -> Tensor:
        assert q.order is not None and k.order is not None
        table = torch.tensor(self.table, dtype=torch.bool, device=q.order.device)
        rows, columns = table.shape
        i, j = q.order // self.size, k.order // self.size
        seen = table[i.clamp(max=rows - 1)[:, :, None], j.clamp(max=columns - 1)[:, None, :]]  # [B, T, S]
        return seen & (i < rows)[:, :, None] & (j < columns)[:, None, :]


def _narrow(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)


def _widen(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else max(a, b)


@dataclass(frozen=True)
class Both(Mask):
    """Allowed by both."""

    a: Mask
    b: Mask

    def allows(self, q: Layout, k: Layout) -> Tensor:
        return self.a.allows(q, k) & self.b.allows(q, k)

    def reach(self) -> Reach:
        (back_a, ahead_a), (back_b, ahead_b) = self.a.reach(), self.b.reach()
        return _narrow(back_a, back_b), _narrow(ahead_a, ahead_b)


@dataclass(frozen=True)
class Either(Mask):
    """Allowed by either."""

    a: Mask
    b: Mask

    def allows(self, q: Layout, k: Layout) -> Tensor:
        return self.a.allows(q, k) | self.b.allows(q, k)

    def reach(self) -> Reach:
        (back_a, ahead_a), (back_b, ahead_b) = self.a.reach(), self.b.reach()
        return _widen(back_a, back_b), _widen(ahead_a, ahead_b)


def visible(mask: Mask, q: Layout, k: Layout) -> Tensor:
    """The one rule: what the mask allows, within one document; bool, broadcastable to [B, T, S].

    A key is seen if its segment is the query's and not 0, or if it is -1 (seen by every segment).
    """
    allowed = mask.allows(q, k)
    if q.segments is None and k.segments is None:
        return allowed
    ours = q.segments if q.segments is not None else torch.ones_like(q.order)  # type: ignore[arg-type]
    theirs = k.segments if k.segments is not None else torch.ones_like(k.order)  # type: ignore[arg-type]
    ours, theirs = ours[:, :, None], theirs[:, None, :]  # [B, T, 1], [B, 1, S]
    return (allowed & (ours == theirs) & (ours > 0)) | ((theirs == -1) & (ours != 0))
