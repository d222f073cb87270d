"""Where a cache keeps things: which token sits where (`Book`), keys and values (`Slot`), states (`StateSlot`).

Buffers start zeroed; they have one place more than they hold, where padding is written and never seen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

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
        self.prefix = False  # see `Layout`

    def index(self, here: Layout, count: Tensor) -> Tensor:
        """Places for new tokens, [B, T]; padding goes to the spare place. count [B]: tokens each row has had."""
        assert here.order is not None
        real = torch.ones_like(here.order) if here.segments is None else (here.segments != 0).long()
        real = real.expand(count.shape[0], -1)  # [B, T]
        place = count[:, None] + real.cumsum(dim=1) - 1
        place = place % self.size if self.ring else place
        return torch.where(real > 0, place, self.size)

    def write(self, here: Layout, index: Tensor) -> None:
        """Enter new tokens at their places. index [B, T]."""
        assert here.order is not None
        segments = torch.ones_like(here.order) if here.segments is None else here.segments
        groups = torch.zeros_like(here.order) if here.groups is None else here.groups
        self.order.scatter_(1, index, here.order.expand_as(index))
        self.segments.scatter_(1, index, segments.expand_as(index))
        self.groups.scatter_(1, index, groups.expand_as(index))
        if here.prefix:
            self.prefix = True

    def check_groups(self, groups: Tensor, count: Tensor) -> None:
        """ValueError where a chunk goes on with a group: those who came first could not see the rest."""
        last = self.groups.gather(1, (count - 1).clamp(min=0)[:, None] % self.size)  # [B, 1]
        cut = (last > 0) & (count > 0)[:, None] & (last == groups[:, :1])
        if bool(cut.any()):
            raise ValueError(f"a chunk ends within group {int(last[cut][0])}: send a group whole, in one chunk")

    def forget(self, tokens: int, count: Tensor) -> None:
        """Empty the places of every token from the `tokens`-th of each row on. count [B]: tokens each row has had."""
        newest = count[:, None] - 1
        place = torch.arange(self.size + 1, device=count.device)[None]  # [1, S + 1]
        number = newest - (newest - place) % self.size  # [B, S + 1] which token of its row is there; < 0: none
        self.segments.masked_fill_(number >= tokens, 0)

    def select(self, rows: Tensor) -> None:
        """Row i becomes what row rows[i] was."""
        self.order, self.segments = self.order.index_select(0, rows), self.segments.index_select(0, rows)
        self.groups = self.groups.index_select(0, rows)

    def layout(self, places: int) -> Layout:
        """What sits at the first `places` places."""
        order, segments, groups = (kept[:, :places] for kept in (self.order, self.segments, self.groups))
        return Layout(order, segments, groups=groups, prefix=self.prefix)


class Kept(ABC):
    """What a cache keeps of one part in one execution step. shared: neighbouring rows may read one copy. final: what
    was written stays."""

    shared = final = False

    def look(self, places: int) -> None:  # noqa: B027 (most need not know)
        """Only the first `places` places are in use: no more need to be looked at."""

    def forget(self, tokens: int) -> None:  # noqa: B027 (keys that no book speaks of are not seen)
        """Take back every token from the `tokens`-th of each row on."""

    @abstractmethod
    def select(self, rows: Tensor) -> None:
        """Row i becomes what row rows[i] was."""


class StateSlot(Kept):
    """The state of a recurrent part after each of a row's last tokens, so that all of these but one can be taken back.

    states [B, N + 1, D]: of the n-th token at place n modulo N; count [B]: tokens each row has had.
    """

    def __init__(self, states: Tensor) -> None:
        self.states = states
        self.count = torch.zeros(states.shape[0], dtype=torch.int64, device=states.device)

    def set(self, state: Tensor) -> None:
        """What rows begin with: [B, D], or [B/n, D] where n neighbours begin alike. ValueError for rows under way."""
        if bool(self.count.any()):
            raise ValueError("rows under way keep the memory that their states began with: make another cache")
        rows = state.repeat_interleave(self.states.shape[0] // state.shape[0], dim=0)  # [B, D]
        self.states = rows[:, None].repeat(1, self.states.shape[1], 1).to(self.states.dtype)  # [B, N + 1, D]

    def read(self) -> Tensor:
        """The newest state of each row, [B, D]."""
        row = torch.arange(self.count.shape[0], device=self.count.device)
        return self.states[row, self.count % (self.states.shape[1] - 1)]

    def write(self, states: Tensor, real: Tensor | None) -> None:
        """Keep the states after new places, [B, T, D]; real: bool [B, T], where they are tokens (None: everywhere)."""
        size = self.states.shape[1] - 1
        new = torch.ones_like(states[..., 0], dtype=torch.int64) if real is None else real.long()  # [B, T]
        number = self.count[:, None] + new.cumsum(dim=1)  # [B, T] of the token; padding goes to the spare place
        place = torch.where((new > 0) & (number > number[:, -1:] - size), number % size, size)
        row = torch.arange(states.shape[0], device=states.device)[:, None]  # [B, 1]
        self.states.index_put_((row, place), states.to(self.states.dtype))
        self.count = number[:, -1]

    def forget(self, tokens: int) -> None:
        self.count = self.count.clamp(max=tokens)

    def select(self, rows: Tensor) -> None:
        self.states, self.count = self.states.index_select(0, rows), self.count.index_select(0, rows)


class Slot(Kept):
    """Keys and values of one attention."""

    def __init__(self, k: Tensor, v: Tensor) -> None:
        self.k, self.v = k, v

    @abstractmethod
    def write(self, k: Tensor, v: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys [B, T, G, K] and values at index [B, T]; returns all there is to look at, [B, S, G, K]."""

    def read(self) -> tuple[Tensor, Tensor]:
        """All there is to look at, [B, S, G, K] and [B, S, G, Kv]."""
        return self.k, self.v

    def set(self, k: Tensor, v: Tensor) -> None:
        """Keep these keys and values from now on."""
        raise ValueError("this slot is written token by token; only a memory's slot is set at once")

    def select(self, rows: Tensor) -> None:
        self.k, self.v = self.k.index_select(0, rows), self.v.index_select(0, rows)


class FullSlot(Slot):
    """Every token keeps its place, up to a capacity; places beyond the cache's bucket are not looked at.
    k [B, S + 1, G, K], v [B, S + 1, G, Kv]."""

    def __init__(self, k: Tensor, v: Tensor) -> None:
        super().__init__(k, v)
        self.places = k.shape[1] - 1  # how many are looked at

    def write(self, k: Tensor, v: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        row = torch.arange(index.shape[0], device=index.device)[:, None]  # [B, 1]
        self.k.index_put_((row, index), k.to(self.k.dtype))
        self.v.index_put_((row, index), v.to(self.v.dtype))
        return self.k[:, : self.places], self.v[:, : self.places]

    def look(self, places: int) -> None:
        self.places = places


class RingSlot(FullSlot):
    """Places are reused, so that all of them are always looked at."""

    def look(self, places: int) -> None:
        pass


class SumSlot(Slot):
    """A sum over all that a row has had of its newest document, `total` [B, G, F, V], and that `document`'s number [B]
    (0: none yet). It does not grow, and stands still where there is padding. No token can be taken out of it."""

    final = True

    def __init__(self, total: Tensor) -> None:
        super().__init__(total, torch.zeros(total.shape[0], dtype=torch.int64, device=total.device))

    @property
    def total(self) -> Tensor:
        return self.k

    @property
    def document(self) -> Tensor:
        return self.v

    def write(self, k: Tensor, v: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """New keys and values, as they are: they are added when they have been looked at (`keep`)."""
        return k, v

    def keep(self, total: Tensor, document: Tensor) -> None:
        """The sum from now on."""
        self.total.copy_(total)
        self.document.copy_(document)


class FixedSlot(Slot):
    """Keys and values of a memory, set once before the first step; rows that share it (beams) read one copy."""

    shared = True

    def __init__(self) -> None:
        super().__init__(torch.empty(0), torch.empty(0))
        self.filled = False

    def read(self) -> tuple[Tensor, Tensor]:
        if not self.filled:
            raise ValueError("this cache has no memory yet: call fill(cache, memory) before the first step")
        return self.k, self.v

    def set(self, k: Tensor, v: Tensor) -> None:
        self.k, self.v, self.filled = k, v, True

    def write(self, k: Tensor, v: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        raise ValueError("a memory's slot is filled before the first step and never written after")

    def select(self, rows: Tensor) -> None:
        if self.filled:
            super().select(rows)
