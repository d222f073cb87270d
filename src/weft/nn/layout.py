"""Where tokens sit. A `Layout` says nothing of what they contain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Places of the tokens of a batch; each field is [B or 1, T] int64, or None.

    None is a *static* fact, known when a graph is traced, so that the common case costs no mask and no gather:

    order:    place within the document. None: 0..T-1, restarting with every segment when segments are given; after a
              prefix documents go on where it ended.
    segments: document number. None: one full document a row. 0: nothing is here (padding, an unwritten cache
              place); -1, where `prefix` allows it: seen by every segment.
    coords:   what the position scheme sees. None: the order.
    groups:   places of one group > 0 see each other both ways; 0: no group.
    prefix:   static: True where some places may have segment -1 (a shared or trained prefix). Documents see them
              however far away they lie, so that no kernel may leave a part of the row out.

    Tokens of one segment lie side by side in a row, in their order; anything else belongs into coords and the mask.
    """

    order: Tensor | None = None
    segments: Tensor | None = None
    coords: Tensor | None = None
    groups: Tensor | None = None
    prefix: bool = False

    @property
    def plain(self) -> bool:
        """True where each row is one full document: nothing to gather, nothing to hide."""
        return self.order is None and self.segments is None and self.coords is None and self.groups is None

    @property
    def places(self) -> Tensor:
        """What a position scheme reads: coords where given, else the order. Needs `numbered` first."""
        places = self.coords if self.coords is not None else self.order
        assert places is not None, "number the layout before placing it"
        return places

    def numbered(self, length: int, device: torch.device) -> Layout:
        """The same layout with its order written out, [B or 1, T]."""
        if self.order is not None:
            return self
        order = torch.arange(length, device=device)[None]  # [1, T]
        if self.segments is not None:
            order = restart(order, self.segments)  # [B, T]
        if self.segments is not None and self.prefix:
            before = (self.segments == -1).sum(dim=1, keepdim=True)  # [B, 1]
            order = torch.where(self.segments > 0, order + before, order)
        return replace(self, order=order)

    def fold(self, share: int) -> Layout:
        """Rows that share one memory laid side by side: [B·n, T] -> [B, n·T]. Rows that broadcast stay as they are."""
        if share == 1:
            return self

        def side_by_side(field: Tensor) -> Tensor:
            if field.shape[0] == 1:
                return field.repeat(1, share)  # [1, n·T]
            return field.reshape(field.shape[0] // share, -1)  # [B, n·T]

        return self._each(side_by_side)

    def after(self, count: int) -> Layout:
        """The layout of rows with `count` places more before their own: [B, T] -> [B, count + T]. These are of the
        row's first document, and the order goes on behind them."""
        if not count or self.plain:
            return self
        longer = self._each(lambda field: torch.cat((field[:, :1].expand(-1, count), field), dim=1))  # [B, count + T]
        if self.order is None:
            return longer
        before = torch.arange(count, device=self.order.device)[None].expand(len(self.order), -1)  # [B, count]
        return replace(longer, order=torch.cat((before, self.order + count), dim=1))

    def select(self, rows: Tensor) -> Layout:
        """These rows, int64 [n], in this order: [B, T] -> [n, T]. Rows that broadcast stay as they are."""
        return self._each(lambda field: field if field.shape[0] == 1 else field.index_select(0, rows))

    def part(self, ranges: tuple[tuple[int, int], ...]) -> Layout:
        """The places of some ranges low..high, side by side: [B, T] -> [B, n]. The layout is numbered."""
        return self._each(lambda field: torch.cat([field[:, low:high] for low, high in ranges], dim=1))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Layout:
        """The same facts with every tensor changed."""
        order, segments, coords, groups = (
            None if field is None else change(field) for field in (self.order, self.segments, self.coords, self.groups)
        )
        return Layout(order, segments, coords, groups, self.prefix)

    @staticmethod
    def ragged(lengths: Tensor, width: int, *, side: str = "right") -> Layout:
        """Rows of unequal length, padded on one side to `width`. lengths: int64 [B], none longer than the width."""
        if side not in ("left", "right"):
            raise ValueError(f"padding side is 'left' or 'right', not {side!r}")
        first = width - lengths[:, None] if side == "left" else 0  # [B, 1]
        order = torch.arange(width, device=lengths.device)[None] - first  # [B or 1, T]
        real = (order >= 0) & (order < lengths[:, None])
        return Layout(segments=real.long())  # the order follows from it, also where a cache goes on


def restart(order: Tensor, segments: Tensor) -> Tensor:
    """Order counted anew wherever the segment changes. order [1, T], segments [B, T] -> [B, T]."""
    fresh = torch.ones_like(segments, dtype=torch.bool)
    fresh[:, 1:] = segments[:, 1:] != segments[:, :-1]
    start = torch.where(fresh, order, 0).cummax(dim=1).values
    return order - start
