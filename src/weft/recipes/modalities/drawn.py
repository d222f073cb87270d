"""Pictures that are drawn after classes: which is meant, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from weft.data.signals.grid import write_grid
from weft.recipes.modality import Drawn


def each_often(asked: Drawn, classes: Sequence[str]) -> tuple[str, ...]:
    """What each picture is to show: every prompt (none: every class) as often as is asked for. ValueError for none of
    each."""
    if asked.count < 1:
        raise ValueError(f"count = {asked.count}: at least 1 picture is drawn of each")
    return tuple(name for name in asked.prompts or classes for _ in range(asked.count))


def class_number(name: str, classes: Sequence[str]) -> int:
    """Which class is called so, or has this number. ValueError where none is, and has."""
    if name in classes:
        return list(classes).index(name)
    if name.isdecimal() and int(name) < len(classes):
        return int(name)
    raise ValueError(f"no class is called {name!r}; the model draws {', '.join(classes[:20])}")


def shown(
    folder: Path,
    asked: Drawn,
    pictures: np.ndarray,
    names: Sequence[str] | None,
    out: Path,
    say: Say = quiet,
) -> str:
    """Write the pictures as a PNG, a line for each prompt, and say so, with what a judge says where one is named.
    ValueError where it cannot be asked."""
    if names is None and asked.judge is not None:
        raise ValueError(f"{folder} draws pictures of no class, so none was asked for: leave --judge out")
    said = "" if asked.judge is None or names is None else f"; {judgement(folder, asked.judge, names, pictures, say)}"
    write_grid(out, pictures, asked.count, names)
    return f"{len(pictures):,} pictures, {asked.count} in a line: {out}{said}"


def judgement(folder: Path, judge: Path, names: Sequence[str], pictures: np.ndarray, say: Say = quiet) -> str:
    """How many pictures a judge takes for what was asked, and how far they are from those that the run in a folder held
    out. ValueError where these are no longer where they were."""
    found = judged_by(judge, pictures, names, real_pictures(folder, judge), say=say)
    assert found.right is not None
    return (
        f"{100 * found.right:.1f}% are taken for what was asked, Fréchet distance {found.distance:.4g} (of held-out "
        f"pictures, one half from the other: {found.halves:.4g})"
    )


def real_pictures(folder: Path, judge: Path) -> np.ndarray:
    """The pictures with classes that the run in a folder held out, as large as a judge reads them: uint8 [N, height,
    width, channels]. ValueError for a run of captions, for data that are gone, and for a judge that is none."""
    settings, reads, read = data_settings(folder), read_processor(folder), read_processor(judge)
    if settings is None or reads is None or not reads.classes:
        raise ValueError(f"{folder} says of no pictures with classes that it held some out: leave --judge out")
    if read is None or not isinstance(read.processor, Patches):
        raise ValueError(f"{judge} reads no pictures: name a model that was trained to tell some apart")
    pictures = SignalSettings(settings.source, settings.paths, settings.held_out, settings.seed)
    processor = read.processor
    shape = Shape(processor.image, processor.patch, processor.channels)
    return prepare_signals(pictures, shape, processor).held_out.signals
