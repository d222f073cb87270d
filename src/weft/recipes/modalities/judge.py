"""Drawn pictures, judged by a model that was trained to tell real ones apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from weft.data.progress import counted
from weft.data.signals import Patches
from weft.data.sources import Say, quiet
from weft.evaluate.drawn import Drawing, drawn
from weft.hub import load
from weft.training.world import place


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
    judge = load(folder, device=device if device != "auto" else place("auto"))
    if judge.reads is None or not isinstance(judge.reads.processor, Patches):
        raise ValueError(f"{folder} reads no pictures: name a model that was trained to tell some apart")
    advance = counted(say, "judged", len(pictures) + len(real))
    return drawn(judge.module, judge.reads.processor, judge.reads.classes, pictures, asked, real, advance)
