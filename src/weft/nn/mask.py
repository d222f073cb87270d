"""Masks are values: a small algebra with one definition, `allows`, materialised once per pass.

Which documents may see each other is not a mask's business: `visible` always adds the segment rule, and with it
padding, packing and unwritten cache places, in one line.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from weft.nn.layout import Layout

Reach = tuple[int | None, int | None]  # how far a query can see (back, ahead); None: without bound
Ranges = tuple[tuple[int, int], ...]  # of places, low..high, in order and apart


class Mask(ABC):
    """Who may see whom within a document. Frozen; combine with & and |."""

    @abstractmethod
    def allows(self, q: Layout, k: Layout) -> Tensor:
        """bool, broadcastable to [B, T, S]: may query t see key s? Both layouts are numbered."""

    def reach(self) -> Reach:
        """A bound on the distance seen, so that a blocked kernel can leave the rest out."""
        return None, None

    def spans(self, start: int, stop: int, length: int) -> Ranges:
        """Where the keys lie that any of the queries start..stop may see, in a row that is one document of `length`
        places: a bound, for a blocked kernel to leave the rest out."""
        back, ahead = self.reach()
        low = 0 if back is None else max(0, start - back)
        return ((low, length if ahead is None else min(length, stop + ahead)),)

    def causal(self) -> bool:
        """True where no query sees a later place, but for those of its own group, which come and go together: what was
        computed token by token is then what the whole row gives. False where that cannot be known."""
        return self.reach()[1] == 0

    def __and__(self, other: Mask) -> Mask:
        return Both(self, other)

    def __or__(self, other: Mask) -> Mask:
        return Either(self, other)


def orders(q: Layout, k: Layout) -> tuple[Tensor, Tensor]:
    """Of queries [B, T, 1] and keys [B, 1, S], to be compared: a difference would be [B, T, S] of 8 bytes each."""
    assert q.order is not None and k.order is not None
    return q.order[:, :, None], k.order[:, None, :]


def check(least: int, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < least:
            raise ValueError(f"a mask with {name} = {size}, but it must be at least {least}")


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
        ours, theirs = orders(q, k)
        return ours >= theirs  # [B, T, S]

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
        ours, theirs = orders(q, k)
        return (theirs > ours - self.left) & (theirs <= ours + self.right)  # [B, T, S]

    def reach(self) -> Reach:
        return self.left - 1, self.right


@dataclass(frozen=True)
class Chunk(Mask):
    """Places are cut into chunks of `size`; a query sees its own chunk (local attention)."""

    size: int

    def __post_init__(self) -> None:
        check(1, size=self.size)

    def allows(self, q: Layout, k: Layout) -> Tensor:
        ours, theirs = orders(q, k)
        return ours // self.size == theirs // self.size  # [B, T, S]

    def reach(self) -> Reach:
        return self.size - 1, self.size - 1


@dataclass(frozen=True)
class SameGroup(Mask):
    """Places of one group see each other both ways (the tokens of one image in a causal stream)."""

    def allows(self, q: Layout, k: Layout) -> Tensor:
        if q.groups is None or k.groups is None:
            assert q.order is not None
            return torch.zeros(1, 1, 1, dtype=torch.bool, device=q.order.device)
        return (q.groups[:, :, None] == k.groups[:, None, :]) & (q.groups > 0)[:, :, None]  # [B, T, S]

    def causal(self) -> bool:
        return True


@dataclass(frozen=True)
class Global(Mask):
    """The first `tokens` places of a document see everything and are seen by everything (Longformer, ETC)."""

    tokens: int

    def __post_init__(self) -> None:
        check(0, tokens=self.tokens)

    def allows(self, q: Layout, k: Layout) -> Tensor:
        ours, theirs = orders(q, k)
        return (ours < self.tokens) | (theirs < self.tokens)  # [B, T, S]

    def spans(self, start: int, stop: int, length: int) -> Ranges:
        return unite([(0, length if start < self.tokens else min(self.tokens, length))])


def unite(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Ranges in order; those that touch are one, empty ones none."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if low >= high:
            continue
        if found and low <= found[-1][1]:
            low, high = found[-1][0], max(high, found.pop()[1])
        found.append((low, high))
    return tuple(found)


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

    def spans(self, start: int, stop: int, length: int) -> Ranges:
        ours, theirs = self.a.spans(start, stop, length), self.b.spans(start, stop, length)
        return unite([(max(a, c), min(b, d)) for a, b in ours for c, d in theirs])

    def causal(self) -> bool:
        return self.a.causal() or self.b.causal()


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

    def spans(self, start: int, stop: int, length: int) -> Ranges:
        return unite([*self.a.spans(start, stop, length), *self.b.spans(start, stop, length)])

    def causal(self) -> bool:
        return self.a.causal() and self.b.causal()


def visible(mask: Mask, q: Layout, k: Layout) -> Tensor:
    """The one rule: what the mask allows, within one document; bool, broadcastable to [B, T, S].

    A key is seen if its segment is the query's and not 0; or, whatever the mask says, if it is -1, the query of a
    document, and the keys' layout says `prefix`. A prefix sees itself as a document does, or what came later in it
    would change what came before (contracts G1 and G2). ValueError for a -1 that is not announced (on a CPU; elsewhere
    nobody sees it, as asking would wait for the device).
    """
    allowed = mask.allows(q, k)
    if q.segments is None and k.segments is None:
        return allowed
    ours, theirs = _segments(q)[:, :, None], _segments(k)[:, None, :]  # [B, T, 1], [B, 1, S]
    own = allowed & (ours == theirs) & (ours != 0)  # [B, T, S]
    if k.prefix:
        return own | ((theirs == -1) & (ours > 0))
    if theirs.device.type == "cpu" and not torch.compiler.is_compiling() and bool((theirs < 0).any()):
        raise ValueError("a layout has segment -1, which every segment sees: announce it by Layout(prefix=True)")
    return own


def _segments(here: Layout) -> Tensor:
    """Segments written out, [B or 1, T]."""
    if here.segments is not None:
        return here.segments
    assert here.order is not None
    return torch.ones_like(here.order)
