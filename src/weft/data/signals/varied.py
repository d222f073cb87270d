"""How a picture is varied: all of it a function of the draws."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from weft.data.signals.settings import Augment


def varied(picture: np.ndarray, augment: Augment, draw: np.random.Generator) -> np.ndarray:
    """A picture, uint8 [height, width, channels], as `Augment` says; the same draws give the same picture."""
    if augment.flip and draw.random() < 0.5:
        picture = picture[:, ::-1]
    if augment.crop < 1:
        picture = cropped(picture, augment.crop, draw)
    if augment.shift:
        picture = shifted(picture, augment.shift, draw)
    if augment.zoom or augment.turn:
        size, angle = 1 + draw.uniform(-augment.zoom, augment.zoom), draw.uniform(-augment.turn, augment.turn)
        picture = resampled(picture, size, np.deg2rad(angle), draw.uniform(-0.5, 0.5, 2))
    if augment.light:
        picture = lit(picture, augment.light, draw)
    if augment.colour:
        gain = draw.uniform(1 - augment.colour, 1 + augment.colour, picture.shape[-1])
        picture = (picture * gain).round().clip(0, 255).astype(np.uint8)
    if augment.erase and draw.random() < augment.erase:
        picture = erased(picture, draw)
    return picture


def cropped(picture: np.ndarray, least: float, draw: np.random.Generator) -> np.ndarray:
    """A cutting of it, as large as it was: bilinear, without a filter where it gets smaller, which it hardly does."""
    height, width, _ = picture.shape
    area, ratio = draw.uniform(least, 1), np.exp(draw.uniform(-np.log(4 / 3), np.log(4 / 3)))
    tall, wide = (min(1.0, share) for share in ((area * ratio) ** 0.5, (area / ratio) ** 0.5))
    top, left = draw.uniform(0, 1 - tall), draw.uniform(0, 1 - wide)
    down = _blend(top * height, tall * height, height)  # [height, height]
    across = _blend(left * width, wide * width, width)  # [width, width]
    values = (down @ picture.transpose(2, 0, 1).astype(np.float32) @ across.T).transpose(1, 2, 0)
    return values.round().clip(0, 255).astype(np.uint8)


def _blend(start: float, size: float, count: int) -> np.ndarray:
    """What each of `count` places, spread over `size` pixels from `start` on, takes of each pixel, fp32 [count, count]:
    of the two nearest ones, by how near their middles are."""
    middles = (start + (np.arange(count) + 0.5) * size / count - 0.5).clip(0, count - 1)
    share = (1 - np.abs(middles[:, None] - np.arange(count))).clip(min=0)
    return share.astype(np.float32)


def shifted(picture: np.ndarray, most: int, draw: np.random.Generator) -> np.ndarray:
    """Moved by up to so many pixels; what that uncovers is as the edge beside it."""
    by, sides = draw.integers(-most, most + 1, 2), picture.shape[:2]
    down, across = ((np.arange(side) - moved).clip(0, side - 1) for side, moved in zip(sides, by, strict=True))
    return picture[down][:, across]


def lit(picture: np.ndarray, most: float, draw: np.random.Generator) -> np.ndarray:
    """Lighter or darker, then of more or less contrast, cut off at black and white."""
    bright, apart = draw.uniform(1 - most, 1 + most, 2)
    values = picture.astype(np.float32) * np.float32(bright)
    mean = values.mean()
    return ((values - mean) * np.float32(apart) + mean).round().clip(0, 255).astype(np.uint8)


def erased(picture: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """With a hole."""
    height, width, _ = picture.shape
    area, ratio = draw.uniform(0.02, 1 / 3) * height * width, np.exp(draw.uniform(-np.log(3.3), np.log(3.3)))
    tall, wide = (min(side, max(1, round(size))) for side, size in (
        (height, (area * ratio) ** 0.5), (width, (area / ratio) ** 0.5)
    ))  # fmt: skip
    top, left = draw.integers(0, height - tall + 1), draw.integers(0, width - wide + 1)
    picture = picture.copy()
    picture[top : top + tall, left : left + wide] = 0
    return picture


def resampled(picture: np.ndarray, size: float, angle: float, place: np.ndarray) -> np.ndarray:
    """A window of a picture, uint8 [height, width, channels], as large as the picture: `size` times its sides, turned
    by `angle` in radians; place [2]: how far its middle lies from the picture's, in shares of |1 - size| sides.
    Bilinear; beyond its edge the picture is as at the edge."""
    height, width, channels = picture.shape
    down, right = _grid(height, width)
    cos, sin, slack = np.float32(np.cos(angle) * size), np.float32(np.sin(angle) * size), abs(1 - size) * place
    y = (cos * down - sin * right + np.float32((height - 1) / 2 + slack[0] * height)).clip(0, height - 1)
    x = (sin * down + cos * right + np.float32((width - 1) / 2 + slack[1] * width)).clip(0, width - 1)
    top, left = y.astype(np.int32), x.astype(np.int32)
    below, beside = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    by, bx, flat = (y - top)[:, None], (x - left)[:, None], picture.reshape(-1, channels)
    upper = flat[top * width + left] * (1 - bx) + flat[top * width + beside] * bx  # [height * width, channels]
    lower = flat[below * width + left] * (1 - bx) + flat[below * width + beside] * bx
    return (upper * (1 - by) + lower * by).round().astype(np.uint8).reshape(picture.shape)


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """How far each pixel lies below and beside the middle, fp32 [height * width] each."""
    down, right = np.mgrid[:height, :width].astype(np.float32).reshape(2, -1)
    return down - np.float32((height - 1) / 2), right - np.float32((width - 1) / 2)
