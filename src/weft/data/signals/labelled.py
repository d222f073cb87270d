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


def varied(picture: np.ndarray, augment: Augment, draw: np.random.Generator) -> np.ndarray:
    """A picture, uint8 [height, width, channels], as `Augment` says; the same draws give the same picture."""
    height, width, _ = picture.shape
    if augment.flip and draw.random() < 0.5:
        picture = picture[:, ::-1]
    if augment.shift:
        down, right = draw.integers(-augment.shift, augment.shift + 1, 2)
        moved = np.zeros_like(picture)
        moved[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = picture[
            max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)
        ]
        picture = moved
    if augment.erase and draw.random() < augment.erase:
        area, ratio = draw.uniform(0.02, 1 / 3) * height * width, np.exp(draw.uniform(-np.log(3.3), np.log(3.3)))
        tall, wide = (min(side, max(1, round(size))) for side, size in (
            (height, (area * ratio) ** 0.5), (width, (area / ratio) ** 0.5)
        ))  # fmt: skip
        top, left = draw.integers(0, height - tall + 1), draw.integers(0, width - wide + 1)
        picture = picture.copy()
        picture[top : top + tall, left : left + wide] = 0
    if augment.zoom or augment.turn:
        size, angle = 1 + draw.uniform(-augment.zoom, augment.zoom), draw.uniform(-augment.turn, augment.turn)
        picture = resampled(picture, size, np.deg2rad(angle), draw.uniform(-0.5, 0.5, 2))
    if augment.colour:
        gain = draw.uniform(1 - augment.colour, 1 + augment.colour, picture.shape[-1])
        picture = (picture * gain).round().clip(0, 255).astype(np.uint8)
    return picture


def resampled(picture: np.ndarray, size: float, angle: float, place: np.ndarray) -> np.ndarray:
    """A window of a picture, uint8 [height, width, channels], as large as the picture: `size` times its sides, turned by
    `angle` in radians; place [2]: how far its middle lies from the picture's, in shares of |1 - size| sides. Bilinear;
    beyond its edge the picture is as at the edge."""
    height, width, _ = picture.shape
    down, right = np.mgrid[:height, :width].astype(np.float64)
    down, right = down - (height - 1) / 2, right - (width - 1) / 2
    cos, sin, slack = np.cos(angle) * size, np.sin(angle) * size, abs(1 - size) * place
    y = (cos * down - sin * right + (height - 1) / 2 + slack[0] * height).clip(0, height - 1)
    x = (sin * down + cos * right + (width - 1) / 2 + slack[1] * width).clip(0, width - 1)
    top, left = y.astype(int), x.astype(int)
    below, beside = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    by, bx = (y - top)[..., None], (x - left)[..., None]
    upper = picture[top, left] * (1 - bx) + picture[top, beside] * bx
    lower = picture[below, left] * (1 - bx) + picture[below, beside] * bx
    return (upper * (1 - by) + lower * by).round().astype(np.uint8)
