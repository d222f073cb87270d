"""Small pictures with a name and a place in an order of things each: a table, and their pixels beside it.

A folder holds train.tsv with the columns file, caption, group and subgroup, and either an array of all pictures
(train….npy, also .gz), uint8 [N, height, width, 3] in the order of the table, or a file of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from weft.data.captions.given import column, read_pictures, read_table
from weft.data.captions.settings import TWINS, CaptionSettings
from weft.data.captions.split import split
from weft.data.signals.pictures import Patches
from weft.data.sources import Say, quiet

TABLE = CaptionSettings(image_column="file", text_column="caption")
FILE, CHOOSE = "train.tsv", "its columns are file, caption, group and subgroup"


@dataclass(frozen=True)
class Emoji:
    """pixels: uint8 [N, image, image, channels]; of each its file, caption, group and subgroup."""

    pixels: np.ndarray
    files: tuple[str, ...]
    captions: tuple[str, ...]
    groups: tuple[str, ...]
    subgroups: tuple[str, ...]


def is_emoji(folder: Path) -> bool:
    """Whether a folder looks like one: its table has the columns."""
    if not (folder / FILE).is_file():
        return False
    try:
        lines = read_table(folder / FILE)
        return all(name in lines[0].row for name in (TABLE.image_column, TABLE.text_column))
    except ValueError:  # a table of other things, which its own reader will name
        return False


def read_emoji(folder: Path, processor: Patches, say: Say = quiet) -> Emoji:
    """The pictures in a folder, as large as the processor reads them. ValueError and DamagedFile name file and line."""
    path = folder / FILE
    lines = read_table(path)
    names = (TABLE.image_column, TABLE.text_column, "group", "subgroup")
    files, captions, groups, subgroups = (tuple(column(lines, name, path, CHOOSE)) for name in names)
    coloured = replace(processor, channels=3, mean=(0.5,), std=(0.5,))
    pixels = as_read(read_pictures(path, lines, TABLE, coloured, say), processor)
    return Emoji(pixels, files, captions, groups, subgroups)


def as_read(pixels: Sequence[np.ndarray] | np.ndarray, processor: Patches) -> np.ndarray:
    """Pictures uint8 [height, width, 1 or 3] as a processor reads them, uint8 [N, image, image, channels]: grey ones
    get three equal channels, coloured ones the mean of theirs."""
    side, channels = processor.image, processor.channels
    grey = Patches(side, processor.patch, 1, resample=processor.resample, fit=processor.fit)
    found = np.empty((len(pixels), side, side, channels), np.uint8)
    for number, one in enumerate(pixels):
        if one.shape[-1] == channels:
            found[number] = processor.fitted(one)
        elif channels == 3:
            found[number] = grey.fitted(one)  # [.., 1] spreads
        else:
            found[number] = grey.fitted(one.mean(axis=-1, keepdims=True).round().astype(np.uint8))
    return found


def held_back(captions: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Which are held out, bool [N]: see `split`; those that differ only in who is shown are on one side."""
    return split(captions, share, TWINS, seed)
