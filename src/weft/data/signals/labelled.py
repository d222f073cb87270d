"""Signals with a class each, as batches of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from weft.batch import Batch, Place
from weft.data.blocks import check
from weft.data.order import Shuffled, mix
from weft.data.signals.processors import Processor
from weft.data.signals.settings import Augment
from weft.data.signals.varied import varied

PURPOSE = 0x7A5  # of the variations, among all that is drawn by seed, epoch and sample


class Labelled(Shuffled):
    """N signals, uint8 [N, height, width, channels], and the number of each one's class, int64 [N].

    augment: how each is varied, as a function of (seed, epoch, sample); None: not at all.
    """

    def __init__(
        self,
        signals: np.ndarray,
        labels: np.ndarray,
        processor: Processor,
        *,
        augment: Augment | None = None,
        seed: int = 0,
    ) -> None:
        if len(signals) != len(labels) or not len(labels):
            raise ValueError(f"{len(signals)} signals and {len(labels)} labels: one each, and at least one")
        self.signals, self.labels, self.processor = signals, labels, processor
        self.augment, self.seed = augment, seed

    def __len__(self) -> int:
        """Samples in an epoch."""
        return len(self.labels)

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples: tokens fp32 [B, T, C], and `asked["label"]` int64 [B]."""
        rows = check(places, len(self))
        signals = self.signals[rows]
        if self.augment is not None and self.augment != Augment():
            signals = np.stack([
                varied(one, self.augment, np.random.default_rng(mix(self.seed, PURPOSE, epoch, sample)))
                for one, (epoch, sample) in zip(signals, places, strict=True)
            ])  # fmt: skip
        return Batch(
            tokens=torch.from_numpy(self.processor.rows(signals)),
            asked={"label": torch.from_numpy(self.labels[rows])},
            samples=tuple(rows.tolist()),
        )
