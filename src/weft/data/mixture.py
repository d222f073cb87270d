"""Several data sets read in fixed proportions, each in epochs of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from weft.batch import IGNORED, Batch, Dataset, Place
from weft.data.order import mix

_LONGEST = 1 << 20  # places of a pattern


class Mixture:
    """Data sets of batches, read in the proportions of `weights`; each of them is read whole before any of it again.

    `block` places in a row, wherever they begin, hold exactly their share of each: the weights as smallest whole
    numbers, which sum to `block` (0.75 and 0.25: 3 of every 4), spread as evenly as they can be. Place(epoch, index):
    the epoch is that of the one source, the index counts through all of them, in their order.

    An epoch of the mixture, as a run's length counts them, is as many places as it has samples; how often each source
    is read in it, less than once or more, `epochs` says.
    """

    def __init__(self, datasets: Sequence[Dataset[Batch]], weights: Sequence[float], seed: int = 0) -> None:
        """`seed` turns the pattern; ValueError where the weights do not fit."""
        if len(datasets) != len(weights) or not datasets:
            raise ValueError(f"{len(datasets)} data sets and {len(weights)} weights: give each data set one weight")
        empty = [number for number, dataset in enumerate(datasets) if not len(dataset)]
        if empty:
            raise ValueError(f"data set {empty[0]} of the mixture has no samples: give it more, or leave it out")
        self.datasets = tuple(datasets)
        counts = proportions(weights)
        self.block = sum(counts)
        ideal = np.concatenate([(np.arange(count) + 0.5) / count for count in counts])
        sources = np.repeat(np.arange(len(counts)), counts)
        pattern = sources[np.lexsort((sources, ideal))]  # [block] whose turn it is
        self._pattern = np.roll(pattern, mix(seed) % self.block)
        self._counts = counts
        before = np.empty(self.block, np.int64)  # how many of the same source stand earlier in the block
        for source, count in enumerate(counts):
            before[self._pattern == source] = np.arange(count)
        self._before = before
        self._first = np.concatenate([[0], np.cumsum([len(dataset) for dataset in datasets])])

    def __len__(self) -> int:
        """Samples of all sources together; the weights, not this number, say how often each source is read."""
        return int(self._first[-1])

    def epochs(self, places: int) -> tuple[float, ...]:
        """How often each of the data sets is read in so many places."""
        each = zip(self._counts, self.datasets, strict=True)
        return tuple(places * count / self.block / len(dataset) for count, dataset in each)

    def source(self, index: int) -> int:
        """Which of the data sets a sample is of."""
        return int(np.searchsorted(self._first, index, "right")) - 1

    def place(self, position: int, seed: int) -> Place:
        """What is read at `position`; O(1) in time and memory."""
        if position < 0:
            raise ValueError(f"position {position}: a position is at least 0")
        block, within = divmod(position, self.block)
        source = int(self._pattern[within])
        epoch, index = self.datasets[source].place(
            block * self._counts[source] + int(self._before[within]), mix(seed, source)
        )
        return Place(epoch, index + int(self._first[source]))

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples in their order, in rows as long as the longest needs."""
        wrong = [index for _, index in places if not 0 <= index < len(self)]
        if wrong or not places:
            raise ValueError(f"samples {wrong} of a mixture of {len(self)}: at least one, 0 to {len(self) - 1}")
        rows: dict[int, list[int]] = {}
        for row, (_, index) in enumerate(places):
            rows.setdefault(self.source(index), []).append(row)
        batches, order = [], []
        for source, members in rows.items():
            first = int(self._first[source])
            part = self.datasets[source].batch([Place(places[r].epoch, places[r].sample - first) for r in members])
            batches.append(part)
            order += members
        samples = tuple(index for _, index in places)
        return _take(batches, np.argsort(order), samples)


def proportions(weights: Sequence[float]) -> list[int]:
    """The weights as the smallest whole numbers in the same proportion, exactly as they are written in decimals."""
    if not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise ValueError(f"weights {', '.join(map(str, weights))}: each is above 0; leave out what is not to be read")
    exact = [Fraction(repr(float(weight))) for weight in weights]
    common = math.lcm(*(weight.denominator for weight in exact))
    whole = [int(weight * common) for weight in exact]
    divisor = math.gcd(*whole)
    counts = [weight // divisor for weight in whole]
    if sum(counts) > _LONGEST:
        raise ValueError(
            f"weights {', '.join(map(str, weights))}: as whole numbers they sum to more than {_LONGEST:,}: round them"
        )
    return counts


def _take(batches: Sequence[Batch], order: np.ndarray, samples: tuple[int, ...]) -> Batch:
    """The rows of several batches as one batch, in another order."""
    if len(batches) == 1:
        source = batches[0].source
        return replace(batches[0], source=None if source is None else _take([source], order, samples), samples=samples)
    here = torch.from_numpy(np.ascontiguousarray(order))
    width = max(batch.tokens.shape[1] for batch in batches)
    ragged = any(batch.tokens.shape[1] < width for batch in batches)
    sources = [batch.source for batch in batches if batch.source is not None]
    labels = [batch.labels for batch in batches if batch.labels is not None]
    if len(sources) not in (0, len(batches)) or len(labels) not in (0, len(batches)):
        raise ValueError("some data sets of the mixture give a source or labels, others do not: mix like with like")
    orders = segments = None
    if any(batch.order is not None for batch in batches):
        orders = _stack([_order(batch) for batch in batches], width, 0)[here]
    if ragged or any(batch.segments is not None for batch in batches):
        segments = _stack([_segments(batch) for batch in batches], width, 0)[here]
    return Batch(
        tokens=_stack([batch.tokens for batch in batches], width, 0)[here],
        labels=_stack(labels, width, IGNORED)[here] if labels else None,
        order=orders,
        segments=segments,
        source=_take(sources, order, samples) if sources else None,
        samples=samples,
    )


def _order(batch: Batch) -> Tensor:
    if batch.order is not None:
        return batch.order
    return torch.arange(batch.tokens.shape[1]).expand_as(batch.tokens)


def _segments(batch: Batch) -> Tensor:
    return torch.ones_like(batch.tokens) if batch.segments is None else batch.segments


def _stack(tensors: Sequence[Tensor], width: int, value: int) -> Tensor:
    """int64 [B, T] of several B and T as one, filled with `value` on the right."""
    return torch.cat([torch.nn.functional.pad(tensor, (0, width - tensor.shape[1]), value=value) for tensor in tensors])
