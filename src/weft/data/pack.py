"""Whole documents packed into rows, so that none is cut that fits into one and little of a row stays empty."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from weft.batch import IGNORED, Batch, Place
from weft.data.blocks import check
from weft.data.order import Shuffled, mix_many


@dataclass(frozen=True, eq=False)
class Plan:
    """Which pieces stand in which row: row r holds pieces bounds[r] to bounds[r + 1] - 1, one after the other.

    A piece reads tokens[start : start + length] and predicts tokens[start + 1 : start + length + 1].
    """

    starts: np.ndarray  # int64 [pieces]
    lengths: np.ndarray  # int64 [pieces], each at most the context
    bounds: np.ndarray  # int64 [rows + 1]


class Packed(Shuffled):
    """Documents as rows of `context` tokens, each document once an epoch, in segments that do not see one another.

    A document reads END and its tokens, and predicts its tokens and END. A longer one than the context is cut into
    pieces of `context` and a rest, each a segment of its own that begins with the token before it; every token, and
    every END but the first, is predicted exactly once. What is left of a row is padding (segments 0, labels IGNORED).
    Where another id than END begins documents, a document reads both, and predicts nothing from its END.

    Best fit, longest first (Johnson 1974), all pieces of one length at a time (as Krell et al. 2021). The plan is a
    function of the documents' lengths, the context and the seed; an epoch decides the order of the rows alone.
    """

    def __init__(
        self,
        tokens: np.ndarray,
        offsets: np.ndarray,
        context: int,
        *,
        end: int,
        begin: int | None = None,
        seed: int = 0,
    ) -> None:
        """`tokens` [N]: a `stream`; `offsets` [documents + 1]: where each begins, N last; `begin`: the id that begins a
        document, where that is not `end`."""
        if context < 1:
            raise ValueError(f"context={context} must be at least 1")
        if len(offsets) < 2 or offsets[0] != 1 or offsets[-1] != len(tokens):
            raise ValueError(f"{len(offsets)} offsets do not lead from 1 to the end of {len(tokens)} tokens")
        self.tokens = tokens
        self.context = context
        self.plan = plan(np.asarray(offsets, np.int64), context, seed)
        self._end = end
        self._unasked = None if begin == end else begin

    def __len__(self) -> int:
        """Samples (rows) in an epoch."""
        return len(self.plan.bounds) - 1

    @property
    def fill(self) -> float:
        """The share of all places that hold a token; the rest is padding."""
        return float(self.plan.lengths.sum()) / (len(self) * self.context)

    def batch(self, places: Sequence[Place]) -> Batch:
        """These rows, the same in every epoch."""
        rows = check(places, len(self))
        shape = len(rows), self.context
        tokens, labels = np.full(shape, self._end, np.int64), np.full(shape, IGNORED, np.int64)
        order, segments = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, (first, stop) in enumerate(zip(self.plan.bounds[rows], self.plan.bounds[rows + 1], strict=True)):
            at = 0
            for number, piece in enumerate(range(first, stop), start=1):
                start, length = self.plan.starts[piece], self.plan.lengths[piece]
                here = slice(at, at + length)
                tokens[row, here] = self.tokens[start : start + length]
                labels[row, here] = self.tokens[start + 1 : start + length + 1]
                order[row, here] = np.arange(length)
                segments[row, here] = number
                at += length
        if self._unasked is not None:
            labels[labels == self._unasked] = IGNORED
        return Batch(
            tokens=torch.from_numpy(tokens),
            labels=torch.from_numpy(labels),
            order=torch.from_numpy(order),
            segments=torch.from_numpy(segments),
            samples=tuple(rows.tolist()),
        )


def plan(offsets: np.ndarray, context: int, seed: int) -> Plan:
    """Pack the documents that begin at `offsets` into rows of `context`."""
    starts, lengths = _pieces(offsets, context)
    by_length = np.lexsort((mix_many(seed, len(starts)), lengths))  # the same length: in an order of the seed's
    starts, lengths = starts[by_length], lengths[by_length]
    sizes, first, counts = np.unique(lengths, return_index=True, return_counts=True)
    kinds = _best_fit(dict(zip(sizes.tolist(), counts.tolist(), strict=True)), context)
    free = dict(zip(sizes.tolist(), first.tolist(), strict=True))  # the next piece of each length
    order, widths = [], []
    for rows, contents in kinds:
        columns = []
        for size, each in contents:
            columns.append(np.arange(free[size], free[size] + rows * each).reshape(rows, each))
            free[size] += rows * each
        block = np.concatenate(columns, axis=1)  # [rows, pieces of a row]
        order.append(block.reshape(-1))
        widths.append(np.full(rows, block.shape[1]))
    chosen = np.concatenate(order)
    bounds = np.concatenate([[0], np.cumsum(np.concatenate(widths))])
    return Plan(starts[chosen], lengths[chosen], bounds)


def _pieces(offsets: np.ndarray, context: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each piece starts reading, and how many tokens it reads."""
    whole = np.diff(offsets)  # what a document reads: from what begins it to before what begins the next
    each = -(-whole // context)  # [documents] pieces
    first = np.cumsum(each) - each
    number = np.arange(each.sum()) - np.repeat(first, each)  # of a piece, in its document
    starts = np.repeat(offsets[:-1] - 1, each) + number * context
    return starts, np.minimum(context, np.repeat(whole, each) - number * context)


Kind = tuple[int, tuple[tuple[int, int], ...]]  # so many rows, each with (length, how many of it) ...


def _best_fit(counts: dict[int, int], context: int) -> list[Kind]:
    """Kinds of rows that hold `counts[length]` pieces of each length: longest first, each into the fullest row that
    still has room."""
    room: dict[int, list[Kind]] = {}  # kinds by the room that is left; none is empty
    spaces: list[int] = []  # its keys, sorted

    def put(space: int, kind: Kind) -> None:
        if space not in room:
            insort(spaces, space)
        room.setdefault(space, []).append(kind)

    def take(size: int, left: int) -> tuple[int, Kind]:
        place = bisect_left(spaces, size)
        if place == len(spaces):
            return context, (left, ())  # new rows
        space = spaces[place]
        kind = room[space].pop()
        if not room[space]:
            del room[space], spaces[place]
        return space, kind

    for size in sorted(counts, reverse=True):
        left = counts[size]
        while left:
            space, (rows, contents) = take(size, left)
            each = min(space // size, left)  # the row that has just got one is now the fullest with room
            used = min(rows, left // each)
            if used < rows and contents:
                put(space, (rows - used, contents))
            put(space - size * each, (used, (*contents, (size, each))))
            left -= used * each
    return [kind for kinds in room.values() for kind in kinds]
