"""Pictures made on the spot, for runs that must need no file: each class a shape, somewhere, of some size."""

from __future__ import annotations

import numpy as np

SHAPES = ("square", "disc", "cross", "stripes", "corner")


def made_pictures(count: int, side: int, channels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [count, side, side, channels] and classes int64 [count], in turn."""
    draw, labels = np.random.default_rng(seed), np.arange(count, dtype=np.int64) % len(SHAPES)
    y, x = np.mgrid[:side, :side]
    pictures = np.empty((count, side, side, channels), np.uint8)
    for number, label in enumerate(labels):
        middle, reach = draw.uniform(side * 0.35, side * 0.65, 2), draw.uniform(side * 0.2, side * 0.35)
        down, right = y - middle[0], x - middle[1]
        inside = (
            np.maximum(abs(down), abs(right)) < reach,
            np.hypot(down, right) < reach,
            np.minimum(abs(down), abs(right)) < reach / 3,
            (np.maximum(abs(down), abs(right)) < reach) & (y % 2 == 0),
            (down < 0) & (right < 0) & (np.maximum(-down, -right) < reach),
        )[label]
        noise = draw.normal(40, 15, (side, side, channels))
        pictures[number] = np.where(inside[..., None], 200 + noise / 2, noise).clip(0, 255)
    return pictures, labels
