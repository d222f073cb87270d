"""The cache belongs to the caller. One `Cache` per stack and batch of rows, made by `Stack.cache`.

Each row has its own write index, so rows may be padded left or right and be of unequal length; padding takes no place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from weft.nn.branch import Slots
from weft.nn.layout import Layout
from weft.nn.slots import Book, Kept, StateSlot


class Cache:
    """Slots of every execution step, and the books that say what their places hold.

    capacity: tokens a row may have, padding not counted. length: what a position scaling is fixed for.
    chunk: the most places of a row in one pass, padding counted.
    """

    def __init__(
        self, rows: int, capacity: int, books: Mapping[str, Book], steps: list[Slots], *, length: int, chunk: int
    ) -> None:
        self.capacity, self.length, self.chunk = capacity, length, chunk
        self.books, self.steps = dict(books), steps
        found = [book.order.device for book in books.values()] + [slot.count.device for slot in self._states()]
        device = found[0] if found else torch.device("cpu")
        self.count = torch.zeros(rows, dtype=torch.int64, device=device)  # [B] tokens each row has had
        self.used = 0  # the largest count, once the pass that was reserved has run
        self.peak = 0  # no row ever had more: a ring has forgotten what lies a ring behind it
        self.bucket = capacity
        self.memory: Layout | None = None  # where the memory's tokens sit
        self.memory_width = 0
        self.share = 1  # neighbouring rows that read one memory

    @property
    def rows(self) -> int:
        """How many rows there are, forked ones counted."""
        return self.count.shape[0]

    def after(self, length: int, segments: Tensor | None = None) -> int:
        """How many tokens the fullest row has after a pass of `length` places. segments int64 [B or 1, T], where not
        all of them are tokens (0 is padding); only then is the device asked."""
        if segments is None:
            return self.used + length
        return int((self.count + (segments != 0).sum(dim=1)).max())

    def reserve(self, length: int, segments: Tensor | None = None, *, bucket: int | None = None) -> None:
        """Make sure that a pass of `length` places fits into every row (see `after`), and look only at as many places
        as are in use (`bucket`; default: rounded up to a power of two, so that a compiled step meets few shapes).

        A model does it before each pass; call it before a step that is compiled. ValueError where it does not fit.
        """
        used = self.after(length, segments)
        if used > self.capacity:
            raise ValueError(
                f"the cache holds {self.capacity} tokens a row; {self.used} are in it and {used - self.used} more do "
                f"not fit: make it with capacity {used} or more"
            )
        if length > self.chunk and any(book.ring for book in self.books.values()):
            raise ValueError(
                f"{length} tokens at once, but this windowed cache takes at most {self.chunk}: send chunks"
            )
        if bucket is not None and bucket < used:
            raise ValueError(f"{used} places are in use, and a bucket of {bucket} would hide some of them")
        self.used, self.peak = used, max(self.peak, used)
        self.bucket = min(self.capacity, bucket or max(64, 1 << (used - 1).bit_length()))
        for slot in self.slots():
            slot.look(self.bucket)

    def begin(self, here: Layout, length: int) -> Layout:
        """Number new tokens after those each row already has: the layout of this pass, [B, T]. A shared prefix and one
        document after it are numbered as one; ValueError for more."""
        if here.order is not None:
            return here
        if here.segments is None:
            after = torch.arange(length, device=self.count.device)[None]  # [1, T]
            return replace(here, order=self.count[:, None] + after)  # [B, T]
        if not torch.compiler.is_compiling() and bool((here.segments > 1).any()):
            raise ValueError("a cache numbers one document a row: give several the order of their tokens yourself")
        real = here.segments != 0
        order = self.count[:, None] + real.long().cumsum(dim=1) - 1  # [B, T]
        return replace(here, order=torch.where(real, order, 0))  # padding has a place that every table of positions has

    def place(self, here: Layout) -> dict[str, tuple[Layout, Tensor]]:
        """Enter new tokens into the books: for each field, where keys sit and where new ones are written."""
        placed = {}
        for name, book in self.books.items():
            if here.prefix and book.ring:
                raise ValueError(
                    f"a windowed cache of {book.size} places would forget a shared prefix: make it with chunk = "
                    f"{self.capacity}, so that it keeps all {self.capacity} tokens"
                )
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

    def at(self, step: int) -> Slots:
        """The slots of one execution step, by branch."""
        return self.steps[step]

    def slots(self) -> Iterator[Kept]:
        """Every slot of every step."""

        def walk(node: Slots) -> Iterator[Kept]:
            if isinstance(node, Kept):
                yield node
            elif isinstance(node, Mapping):
                for child in node.values():
                    yield from walk(child)

        for step in self.steps:
            yield from walk(step)

    def _states(self) -> list[StateSlot]:
        return [slot for slot in self.slots() if isinstance(slot, StateSlot)]

    def truncate(self, tokens: int) -> None:
        """Forget every token from the `tokens`-th of each row on (speculation that was refused).

        ValueError where a ring, or a state, has already forgotten what would be seen again, or a sum cannot be taken
        apart.
        """
        if self.used > tokens and any(slot.final for slot in self.slots()):
            raise ValueError(
                f"a cache of sums cannot take back {self.used - tokens} tokens: begin another one, or choose an "
                "attention that keeps its keys (full, window, block_global)"
            )
        lost, rings = self.peak - tokens, any(book.ring for book in self.books.values())
        if lost >= self.chunk and (rings or any(self._states())):
            kind = "windowed" if rings else "recurrent"
            raise ValueError(
                f"a {kind} cache can take back {self.chunk - 1} tokens, not {lost}: make it with a larger chunk"
            )
        for book in self.books.values():
            book.forget(tokens, self.count)
        for slot in self.slots():
            slot.forget(tokens)
        self.count.clamp_(max=tokens)
        self.used = min(self.used, tokens)

    def reorder(self, rows: Tensor) -> None:
        """Row i becomes what row rows[i] was, int64 [B]. A row may come several times, or not at all. ValueError for
        another number of rows (`keep` and `fork` change it), and where a row would leave its memory."""
        if rows.shape != self.count.shape:
            raise ValueError(f"{list(rows.shape)} rows for a cache of {self.rows}: keep drops rows, fork adds some")
        own = torch.arange(self.rows, device=rows.device)
        if self.memory is not None and bool((rows // self.share != own // self.share).any()):
            raise ValueError(f"row {rows.tolist()} would leave its memory: each {self.share} neighbours read one")
        self._select(rows)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only, in this order: int64 [n], numbered as before any fork, each with all its copies
        and its memory. The buffers shrink with them. ValueError where none is left."""
        if not len(rows):
            raise ValueError("no row is left: keep at least one, or make another cache")
        copies = rows[:, None] * self.share + torch.arange(self.share, device=rows.device)  # [n, share]
        self._select(copies.flatten(), rows)
        if self.memory is not None:
            self.memory = self.memory.select(rows)

    def fork(self, n: int) -> None:
        """Each row n times, side by side (beams); the memory is shared, not copied."""
        self._select(torch.arange(self.rows, device=self.count.device).repeat_interleave(n))  # [B·n]
        self.share *= n

    def _select(self, rows: Tensor, memories: Tensor | None = None) -> None:
        """Row i becomes what row rows[i] was, memory i what memory memories[i] was (None: they stay)."""
        self.count = self.count.index_select(0, rows)
        self.used = int(self.count.max())  # the fullest row may be gone
        for book in self.books.values():
            book.select(rows)
        for slot in self.slots():
            if not slot.shared:
                slot.select(rows)
            elif memories is not None:
                slot.select(memories)
