"""Pixels as ids, each the number of the nearest of some colours (Chen et al. 2020, Image GPT, §3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weft.data.signals.pictures import Patches

ROUNDS, LOOKED_AT, ROWS = 40, 20_000, 4096  # of k-means: passes, different colours at the most; pixels held at once


@dataclass(frozen=True)
class Colours:
    """Pictures as rows of ids: uint8 [N, image, image, channels] -> int64 [N, image²], pixels from left to right and
    from top to bottom, each the number of the nearest of `colours` (the first of several as near), which are `channels`
    numbers from 0 to 255 each. Pictures of another size are squeezed. by_class: a row begins with its picture's class,
    the class's number written as a colour's.
    """

    image: int
    colours: tuple[tuple[int, ...], ...]
    by_class: bool = False

    def __post_init__(self) -> None:
        widths = {len(colour) for colour in self.colours}
        if widths not in ({1}, {3}) or not all(0 <= part <= 255 for colour in self.colours for part in colour):
            raise ValueError("colours are of 1 number each, or of 3, from 0 to 255; and there is at least one")
        if self.image < 1:
            raise ValueError(f"image={self.image}: a picture has at least 1 pixel")

    @staticmethod
    def of(pixels: np.ndarray, count: int, *, by_class: bool = False) -> Colours:
        """With `count` colours that lie near pixels uint8 [N, image, image, channels], as k-means finds them."""
        return Colours(pixels.shape[1], palette(pixels.reshape(-1, pixels.shape[-1]), count), by_class)

    @property
    def channels(self) -> int:
        """1: grey; 3: red, green and blue."""
        return len(self.colours[0])

    @property
    def channels_of_place(self) -> int:
        """An id."""
        return 1

    @property
    def sized(self) -> Patches:
        """What makes pictures as large as they are read."""
        return Patches(self.image, 1, self.channels)

    def read(self, path: Path) -> np.ndarray:
        """The pixels of a picture's file, of the size and channels that are read: uint8 [image, image, channels]."""
        return self.sized.read(path)

    def rows(self, signals: np.ndarray) -> np.ndarray:
        """uint8 [N, image, image, channels] -> ids int64 [N, image²]. ValueError for other sizes."""
        if signals.shape[1:] != (self.image, self.image, self.channels):
            raise ValueError(
                f"pictures are {list(signals.shape[1:])}, and this model reads {self.image} x {self.image} of "
                f"{self.channels} channels: make them so (Colours.sized.fitted)"
            )
        flat = signals.reshape(-1, self.channels)
        parts = [nearest(flat[start : start + ROWS], self._table()) for start in range(0, len(flat), ROWS)]
        return np.concatenate(parts).reshape(len(signals), -1)

    def pixels(self, ids: np.ndarray) -> np.ndarray:
        """The way back: ids [N, image²] -> uint8 [N, image, image, channels]."""
        return self._table().astype(np.uint8)[ids].reshape(len(ids), self.image, self.image, self.channels)

    def _table(self) -> np.ndarray:
        return np.asarray(self.colours, np.float32)  # [K, channels]


def nearest(pixels: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Which row of a table [K, C] lies nearest to each pixel [P, C], int64 [P]; the first of several."""
    return ((pixels[:, None].astype(np.float32) - table) ** 2).sum(axis=2).argmin(axis=1)


def palette(pixels: np.ndarray, count: int) -> tuple[tuple[int, ...], ...]:
    """Colours by k-means (Lloyd 1982, begun as k-means++ of Arthur & Vassilvitskii 2007), from dark to light; of pixels
    uint8 [P, C]. The same pixels give the same colours. Of fewer kinds of pixels than `count`, the last is repeated."""
    draw = np.random.default_rng(0)
    weights = 256 ** np.arange(pixels.shape[1])[::-1]
    codes, often = np.unique(pixels @ weights, return_counts=True)
    found = codes[:, None] // weights % 256  # [different ones, C]
    if len(found) > LOOKED_AT:
        some = draw.choice(len(found), LOOKED_AT, replace=False, p=often / often.sum())
        found, often = found[some], often[some]
    values, weight = found.astype(np.float32), often.astype(np.float64)
    table = values[[int(weight.argmax())]]  # the commonest; the others by how far they lie from those that there are
    while len(table) < min(count, len(values)):
        far = weight * np.min([((values - one) ** 2).sum(axis=1) for one in table], axis=0)
        table = np.concatenate((table, values[[draw.choice(len(values), p=far / far.sum())]]))
    for _ in range(ROUNDS):
        near = np.concatenate([nearest(values[s : s + ROWS], table) for s in range(0, len(values), ROWS)])
        sums = np.stack([np.bincount(near, weight * part, len(table)) for part in values.T], axis=1)
        counts = np.bincount(near, weight, len(table))[:, None]
        moved = np.where(counts > 0, sums / counts.clip(min=1), table).astype(np.float32)
        if np.array_equal(moved, table):
            break
        table = moved
    table = table[np.lexsort((*table.T, table.sum(axis=1)))].round().astype(int)
    colours = [tuple(map(int, colour)) for colour in table]
    return tuple(colours + colours[-1:] * (count - len(colours)))
