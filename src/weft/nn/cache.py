"""The cache belongs to the caller. One `Cache` per stack and batch of rows: which token sits where (`Book`), and the
keys and values themselves (`Slot`), per execution step and branch.

Each row has its own write index, so rows may be padded left or right and be of unequal length. Buffers start zeroed;
they have one place more than they hold, where padding is written and never seen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from weft.nn.layout import Layout


class Book:
    """Which token sits at which place of a row, for all layers of a field. size: places; ring: they are reused."""

    def __init__(self, rows: int, size: int, *, ring: bool, device: torch.device) -> None:
        self.size, self.ring = size, ring
        self.order = torch.zeros(rows, size + 1, dtype=torch.int64, device=device)  # [B, S + 1]
        self.segments = torch.zeros_like(self.order)
        self.groups = torch.zeros_like(self.order)

    def index(self, here: Layout, count: Tensor) -> Tensor:
        """Places for new tokens, [B, T]; padding goes to the spare place. count [B]: tokens each row has had."""
        assert here.order is not None
        real = torch.ones_like(here.order) if here.segments is None else (here.segments != 0).long()
        real = real.expand(count.shape[0], -1)  # [B, T]
        place = count[:, None] + real.cumsum(dim=1) - 1
        place = place % self.size if self.ring else place
        return torch.where(real > 0, place, self.size)

    def write(self, here: Layout, index: Tensor) -> None:
        assert here.order is not None
        segments = torch.ones_like(here.order) if here.segments is None else here.segments
        self.order.scatter_(1, index, here.order.expand_as(index))
        self.segments.scatter_(1, index, segments.expand_as(index))
        groups = torch.zeros_like(here.order) if here.groups is None else here.groups
        self.groups.scatter_(1, index, groups.expand_as(index))

    def check_groups(self, groups: Tensor, count: Tensor) -> None:
        """A group is entered whole: those who came first could not see the rest."""
        last = self.groups.gather(1, (count - 1).clamp(min=0)[:, None] % self.size)  # [B, 1]
        cut = (last > 0) & (count > 0)[:, None] & (last == groups[:, :1])
        if bool(cut.any()):
            raise ValueError(f"a chunk ends within group {int(last[cut][0])}: send a group whole, in one chunk")

    def layout(self, places: int) -> Layout:
        return Layout(self.order[:, :places], self.segments[:, :places], None, self.groups[:, :places])

    def tensors(self) -> Iterator[str]:
        yield from ("order", "segments", "groups")


class Slot(ABC):
    """Keys and values of one attention in one execution step."""

    def __init__(self, k: Tensor, v: Tensor) -> None:
        self.k, self.v = k, v

    @abstractmethod
    def write(self, k: Tensor, v: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys [B, T, G, K] and values at index [B, T]; returns all there is to look at, [B, S, G, K]."""

    def read(self) -> tuple[Tensor, Tensor]:
        return self.k, self.v

    def set(self, k: Tensor, v: Tensor) -> None:
        raise ValueError("this slot is written token by token; only a memory's slot is set at once")


class FullSlot(Slot):
    """Every token keeps its place, up to a capacity; also a ring, whose places are reused. k, v [B, S + 1, G, K]."""

    def __init__(self, k: Tensor, v: Tensor) -> None:
        super().__init__(k, v)
        self.places = k.shape[1] - 1  # how many are looked at: the cache's bucket

    def write(self, k: Tensor, v: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        row = torch.arange(index.shape[0], device=index.device)[:, None]  # [B, 1]
        self.k.index_put_((row, index), k.to(self.k.dtype))
        self.v.index_put_((row, index), v.to(self.v.dtype))
        return self.k[:, : self.places], self.v[:, : self.places]


class RingSlot(FullSlot):
    """Places are reused; nothing is ever cut off by a bucket."""


class FixedSlot(Slot):
    """Keys and values of a memory, set once before the first step; rows that share it (beams) read one copy."""

    def set(self, k: Tensor, v: Tensor) -> None:
        self.k, self.v = k, v

    def write(self, k: Tensor, v: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        raise ValueError("a memory's slot is filled before the first step and never written after")


class Cache:
    """Slots of every execution step, and the books that say what their places hold.

    capacity: tokens a row may have; length: what a position scaling is fixed for (default: the capacity).
    """

    def __init__(
        self,
        rows: int,
        capacity: int,
        books: Mapping[str, Book],
        steps: list[dict[str, object]],
        *,
        length: int,
        chunk: int,
    ) -> None:
        self.rows, self.capacity, self.length, self.chunk = rows, capacity, length, chunk
        self.books, self.steps = dict(books), steps
        device = next(iter(books.values())).order.device if books else torch.device("cpu")
        self.count = torch.zeros(rows, dtype=torch.int64, device=device)  # [B] tokens each row has had
        self.used = 0  # no row has had more
        self.peak = 0  # nor ever had: a ring has forgotten what lies a ring behind it
        self.bucket = capacity
        self.memory: Layout | None = None  # where the memory's tokens sit
        self.memory_width = 0
        self.share = 1  # neighbouring rows that read one memory

    def reserve(self, tokens: int, *, bucket: int | None = None) -> None:
        """Make sure that `tokens` more fit into every row, and look only at as many places as are in use (rounded up
        to a power of two, so that a compiled step meets few shapes). Call it before a step compiled by oneself."""
        if self.used + tokens > self.capacity:
            raise ValueError(
                f"the cache holds {self.capacity} tokens a row; {self.used} are in it and {tokens} more do not fit: "
                f"make it with capacity {self.used + tokens} or more"
            )
        if tokens > self.chunk and any(book.ring for book in self.books.values()):
            raise ValueError(
                f"{tokens} tokens at once, but this windowed cache takes at most {self.chunk}: send chunks"
            )
        if bucket is not None and bucket < self.used + tokens:
            raise ValueError(
                f"{self.used + tokens} places are in use, and a bucket of {bucket} would hide some of them"
            )
        self.used += tokens
        self.peak = max(self.peak, self.used)
        self.bucket = min(self.capacity, bucket or max(64, 1 << (self.used - 1).bit_length()))
        for slot in self.slots():
            if isinstance(slot, FullSlot) and not isinstance(slot, RingSlot):
                slot.places = self.bucket

    def begin(self, here: Layout, length: int) -> Layout:
        """Number new tokens after those each row already has: the layout of this pass, [B, T]."""
        if here.order is not None:
            return here
        if here.segments is None:
            after = torch.arange(length, device=self.count.device)[None]  # [1, T]
            return replace(here, order=self.count[:, None] + after)  # [B, T]
        if not torch.compiler.is_compiling() and bool(((here.segments != 0) & (here.segments != 1)).any()):
            raise ValueError("a cache numbers one document a row: give several the order of their tokens yourself")
        real = here.segments != 0
        order = self.count[:, None] + real.long().cumsum(dim=1) - 1  # [B, T]
        return replace(here, order=torch.where(real, order, 0))  # padding has a place that every table of positions has

    def place(self, here: Layout) -> dict[str, tuple[Layout, Tensor]]:
        """Enter new tokens into the books: for each field, where keys sit and where new ones are written."""
        placed = {}
        for name, book in self.books.items():
            index = book.index(here, self.count)
            if here.groups is not None and not torch.compiler.is_compiling():
                book.check_groups(here.groups, self.count)
            book.write(here, index)
            places = book.size if book.ring else self.bucket
            placed[name] = (book.layout(places), index)
        return placed

    def advance(self, here: Layout) -> None:
        """Count the tokens of a pass, after all layers have written them."""
        assert here.order is not None
        real = here.order.shape[1] if here.segments is None else (here.segments != 0).sum(dim=1)
        self.count += real

    def at(self, step: int) -> dict[str, object]:
        return self.steps[step]

    def slots(self) -> Iterator[Slot]:
        """Every slot of every step."""

        def walk(node: object) -> Iterator[Slot]:
            if isinstance(node, Slot):
                yield node
            elif isinstance(node, Mapping):
                for child in node.values():
                    yield from walk(child)

        for step in self.steps:
            yield from walk(step)

    def truncate(self, tokens: int) -> None:
        """Forget every token from the `tokens`-th of each row on (speculation that was refused)."""
        lost = self.peak - tokens
        if any(book.ring for book in self.books.values()) and lost >= self.chunk:
            raise ValueError(
                f"a windowed cache can take back {self.chunk - 1} tokens, not {lost}: make it with a larger chunk"
            )
        for book in self.books.values():
            book.segments.masked_fill_(book.order >= tokens, 0)
        self.count.clamp_(max=tokens)
        self.used = min(self.used, tokens)

    def reorder(self, rows: Tensor) -> None:
        """Row i becomes what row rows[i] was. Rows that share a memory must stay with it."""
        self._rows(lambda x: x.index_select(0, rows))

    def fork(self, n: int) -> None:
        """Each row n times, side by side (beams); the memory is shared, not copied."""
        self._rows(lambda x: x.repeat_interleave(n, dim=0))
        self.rows *= n
        self.share *= n

    def _rows(self, change) -> None:
        self.count = change(self.count)
        for book in self.books.values():
            book.order, book.segments, book.groups = change(book.order), change(book.segments), change(book.groups)
        for slot in self.slots():
            if not isinstance(slot, FixedSlot):
                slot.k, slot.v = change(slot.k), change(slot.v)
