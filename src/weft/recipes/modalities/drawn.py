"""Drawn pictures: what was asked for, how they are shown, and what a judge makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from weft.data.drawings import Shape
from weft.data.signals import Patches, SignalSettings, prepare_signals, read_processor
from weft.data.signals.grid import write_grid
from weft.data.sources import Say, quiet
from weft.recipes.folder import data_settings
from weft.recipes.modalities.judge import judged_by
from weft.recipes.modality import Drawn


def class_number(name: str, classes: Sequence[str]) -> int:
    """Which class is called so, or has this number. ValueError where none is, and has."""
    if name in classes:
        return list(classes).index(name)
    if name.isdecimal() and int(name) < len(classes):
        return int(name)
    raise ValueError(f"no class is called {name!r}; the model draws {', '.join(classes[:20])}")


def finished(
    folder: Path, asked: Drawn, names: Sequence[str], pictures: np.ndarray, out: Path, say: Say = quiet
) -> str:
    """Write the pictures, a line for each that was asked for, and say what was written and, where a judge is named,
    what it says. ValueError where it cannot be asked."""
    said = "" if asked.judge is None else f"; {judgement(folder, asked.judge, names, pictures, say)}"
    write_grid(out, pictures, asked.count, names)
    return f"{len(pictures)} pictures, written to {out}{said}"


def judgement(folder: Path, judge: Path, names: Sequence[str], pictures: np.ndarray, say: Say = quiet) -> str:
    """How many pictures a judge takes for what was asked, and how far they are from those that the run in a folder held
    out. ValueError where these are no longer where they were."""
    found = judged_by(judge, pictures, names, real_pictures(folder), say=say)
    assert found.right is not None
    return (
        f"{100 * found.right:.1f}% are taken for what was asked, Fréchet distance {found.distance:.4g} (of held-out "
        f"pictures, one half from the other: {found.halves:.4g})"
    )


def real_pictures(folder: Path) -> np.ndarray:
    """The pictures with classes that the run in a folder held out, uint8 [N, height, width, channels]. ValueError for a
    run of captions, and for data that are gone."""
    settings, reads = data_settings(folder), read_processor(folder)
    if settings is None or reads is None or not isinstance(reads.processor, Patches) or not reads.classes:
        raise ValueError(f"{folder} says of no pictures with classes that it held some out: leave --judge out")
    pictures = SignalSettings(settings.source, settings.paths, settings.held_out, settings.seed)
    processor = reads.processor
    shape = Shape(processor.image, processor.patch, processor.channels)
    return prepare_signals(pictures, shape, processor).held_out.signals
