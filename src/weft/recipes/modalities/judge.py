"""Drawn pictures, judged by a model that was trained to tell real ones apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from weft.data.progress import counted
from weft.data.signals import SIGNAL_SOURCES, Patches, SignalSettings
from weft.data.signals.pictures import ANY, PictureSizes
from weft.data.sources import Say, quiet
from weft.evaluate.drawn import Drawing, drawn
from weft.hub import Model, load
from weft.recipes.modality import Drawn, of_folder
from weft.training.world import place

COUNT = 50  # pictures of each class that are drawn, where nobody says how many


def judged_by(
    folder: Path,
    pictures: np.ndarray,
    asked: Sequence[str] | None,
    real: np.ndarray,
    *,
    device: str = "auto",
    say: Say = quiet,
) -> Drawing:
    """What the model in a folder makes of pictures uint8 [N, height, width, channels], which were to show what is
    `asked`, beside real ones: see `drawn`. ValueError for a folder whose model tells no pictures apart."""
    judge, processor, classes = opened(folder, device)
    advance = counted(say, "judged", len(pictures) + len(real))
    return drawn(judge.module, processor, classes, pictures, asked, real, advance)


def judge_drawing(
    folder: Path, judge: Path, data: Path, how: Drawn, *, device: str = "auto", say: Say = quiet
) -> Drawing:
    """What the model in the folder `judge` makes of what the one in `folder` draws, beside the real pictures in a
    folder: those that the files' names hold out, or all of them where they hold out none. how: what is drawn, see
    `Modality.draw`. ValueError for one that draws no pictures, and for a judge that is none."""
    _, processor, _ = opened(judge, device)
    read = SignalSettings(paths=(str(data),))
    sizes = PictureSizes(processor.image, processor.patch, processor.channels, ANY)
    found = SIGNAL_SOURCES.get(read.source)(read, sizes, say)
    real = found.signals if found.held_out is None else found.signals[found.held_out]
    pictures, asked = of_folder(folder).draw(folder, how, device=device, say=say)
    return judged_by(judge, pictures, asked, real, device=device, say=say)


def opened(folder: Path | str, device: str) -> tuple[Model, Patches, tuple[str, ...]]:
    """The model in a folder, what makes its rows, and its classes. ValueError for one that reads no pictures."""
    model = load(folder, device=device if device != "auto" else place("auto"))
    if model.reads is None or not isinstance(model.reads.processor, Patches):
        raise ValueError(f"{folder} reads no pictures: name a model that was trained on some")
    return model, model.reads.processor, model.reads.classes
