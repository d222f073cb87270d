"""Stretches of a series as rows, with what is asked of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from weft.batch import IGNORED, KNOWN, Batch, Place
from weft.data.blocks import check
from weft.data.order import Shuffled


class Stretches(Shuffled):
    """A normalised series, fp32 [T, C], as rows of `length` places: sample n begins at starts[n], and is asked of the
    places from firsts[n] to before stops[n] of the series: there its labels are 0, elsewhere IGNORED.

    known: which numbers are, bool [T, C]; None: all. Where none is known of the vector `ahead` places on, a place is
    not asked."""

    def __init__(
        self,
        values: np.ndarray,
        length: int,
        starts: np.ndarray,
        firsts: np.ndarray,
        stops: np.ndarray,
        *,
        known: np.ndarray | None = None,
        ahead: int = 0,
    ) -> None:
        if not len(starts) or len(values) < length or starts.min() < 0 or starts.max() + length > len(values):
            raise ValueError(f"{len(starts)} rows of {length} places from a series of {len(values)}")
        self.values, self.length = values, length
        self.starts, self.firsts, self.stops = starts, firsts, stops
        self.known, self.ahead = known, ahead

    def __len__(self) -> int:
        """Samples in an epoch."""
        return len(self.starts)

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples, the same in every epoch."""
        rows = check(places, len(self))
        at = self.starts[rows, None] + np.arange(self.length)  # [B, T]
        asked = (at >= self.firsts[rows, None]) & (at < self.stops[rows, None])
        if self.known is not None:
            asked &= np.any(self.known[np.minimum(at + self.ahead, len(self.known) - 1)], axis=2)
        return Batch(
            tokens=torch.from_numpy(self.values[at]),  # [B, T, C]
            labels=torch.from_numpy(np.where(asked, 0, IGNORED)),
            asked={} if self.known is None else {KNOWN: torch.from_numpy(self.known[at])},  # [B, T, C]
            samples=tuple(rows.tolist()),
        )


def learned(values: np.ndarray, length: int, *, ahead: int, past: float, known: np.ndarray | None = None) -> Stretches:
    """All stretches of a series, wherever they begin. ahead, past: of an objective, see `weft.objectives.series.Told`:
    the first share of a row is not asked, but of the one that the series begins with. known: see `Stretches`."""
    starts = np.arange(len(values) - length + 1)
    firsts = starts + _context(length, ahead, past)
    firsts[0] = 0
    return Stretches(values, length, starts, firsts, starts + length - ahead, known=known, ahead=ahead)


def held_out(
    values: np.ndarray,
    first: int,
    length: int,
    *,
    ahead: int,
    past: float,
    times: int = 1,
    known: np.ndarray | None = None,
) -> Stretches:
    """Rows in which each vector from `first` on is asked for once, with what stands before it in sight, before `first`
    too: at least a row's `past`, where the series has so much. times: so many copies of each row. known: see
    `Stretches`."""
    begin, seen, rows = first - ahead, _context(length, ahead, past), list[tuple[int, int, int]]()
    while begin < len(values) - ahead:
        start = max(0, min(begin - seen, len(values) - length))
        rows.append((start, begin, start + length - ahead))
        begin = start + length - ahead
    starts, firsts, stops = np.repeat(np.array(rows), times, axis=0).T
    return Stretches(values, length, starts, firsts, stops, known=known, ahead=ahead)


def _context(length: int, ahead: int, past: float) -> int:
    """How many of a row's places are not asked. ValueError for a row in which nothing can be."""
    if length <= ahead:
        raise ValueError(f"a row of {length} places has none that follows: set model.context to at least {ahead + 1}")
    return min(round(past * length), length - ahead - 1)
