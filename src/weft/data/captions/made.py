"""Captions made on the spot, for runs that must need no file: shapes of some colour or brightness, and their names."""

from __future__ import annotations

import numpy as np

from weft.data.captions.dataset import Row
from weft.data.signals.made import SHAPES, made_pictures

COLOURS = {"red": (255, 60, 60), "green": (60, 255, 60), "blue": (90, 90, 255), "yellow": (255, 255, 60)}
SHADES = {"dark": 0.4, "grey": 0.7, "bright": 1.0}  # of pictures without colours


def made_captions(count: int, side: int, channels: int, seed: int) -> tuple[np.ndarray, list[Row]]:
    """uint8 [count, side, side, channels], and rows with the columns text, colour, shape."""
    pictures, labels = made_pictures(count, side, channels, seed)
    tints = {name: np.array(tint) / 255 for name, tint in COLOURS.items()} if channels == 3 else SHADES
    names, draw, rows = list(tints), np.random.default_rng(seed + 1), list[Row]()
    for picture, label in zip(pictures, labels, strict=True):
        name, framed, turned = names[draw.integers(len(names))], draw.random() < 0.5, draw.random() < 0.5
        tinted = (picture * tints[name]).astype(np.uint8)
        if framed:
            tinted[[0, -1]] = tinted[:, [0, -1]] = 255
        picture[:] = 255 - tinted if turned else tinted
        shape, frame, under = SHAPES[label], " in a frame" if framed else "", " in negative" if turned else ""
        rows.append({"text": f"a {name} {shape}{frame}{under}", "colour": name, "shape": shape})
    return pictures, rows
