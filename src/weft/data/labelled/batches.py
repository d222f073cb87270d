"""Labelled rows as a data set: batches padded on the right to their longest row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from weft.batch import IGNORED, Batch, Place
from weft.data.order import Shuffled


@dataclass(frozen=True, eq=False)
class Line:
    """One row. ids, types: int32 [T]; labels: int32 [T], what each token is asked, or None; asked: what the row is."""

    ids: np.ndarray
    types: np.ndarray
    labels: np.ndarray | None = None
    asked: Mapping[str, int | float] = field(default_factory=dict)


class Padded(Shuffled):
    """Samples of one row each, or of several that go together, in the usual order.

    fill: the id that stands where there is nothing, and in a row that has no token (an empty text with nothing around
    it), which is read. Rows of one data set are asked the same things, and a sample has as many rows as any other.
    """

    def __init__(self, samples: Sequence[Sequence[Line]], fill: int) -> None:
        self.samples, self.fill = samples, fill

    def __len__(self) -> int:
        return len(self.samples)

    def length(self, sample: int) -> int:
        """Tokens of a sample's longest row."""
        return max(max(1, len(line.ids)) for line in self.samples[sample])

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples; asked whole numbers are int64, others fp32."""
        lines = [(place.sample, line) for place in places for line in self.samples[place.sample]]
        width = max(self.length(place.sample) for place in places)
        tokens = torch.full((len(lines), width), self.fill)  # [B, T]
        types, labels = torch.zeros_like(tokens), torch.full_like(tokens, IGNORED)
        segments = torch.zeros_like(tokens)
        for row, (_, line) in enumerate(lines):
            length = len(line.ids)
            tokens[row, :length], types[row, :length] = torch.from_numpy(line.ids), torch.from_numpy(line.types)
            segments[row, : max(1, length)] = 1
            if line.labels is not None:
                labels[row, :length] = torch.from_numpy(line.labels)
        asked = {name: torch.tensor([line.asked[name] for _, line in lines]) for name in lines[0][1].asked}
        return Batch(
            tokens,
            None if lines[0][1].labels is None else labels,
            segments=None if bool(segments.all()) else segments,  # a static fact: no mask where nothing is padded
            types=types,
            asked=asked,
            samples=tuple(sample for sample, _ in lines),
        )
