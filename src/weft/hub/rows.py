"""Signals as a model reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from weft.data.signals import Reads

Signals = Sequence[Path | str] | Sequence[np.ndarray] | np.ndarray
"""Files, or signals as a processor takes them."""


def rows_of(reads: Reads | None, signals: Signals) -> Tensor:
    """Signals as rows, [N, T, C] or [N, T]; see `Model.rows`."""
    if reads is None:
        raise ValueError("this model has no processor (no processor.json beside its weights): it reads ids, or vectors")
    if isinstance(signals, str | Path):
        raise ValueError("rows takes several signals: rows([path])")
    read = reads.processor.read
    parts = [
        reads.processor.rows((read(Path(one)) if isinstance(one, str | Path) else np.asarray(one))[None])[0]
        for one in signals
    ]
    if not parts:
        raise ValueError("no signal was given: give at least one")
    if len(shapes := {part.shape for part in parts}) > 1:
        lengths = sorted(shape[0] for shape in shapes)
        raise ValueError(f"the signals make rows of {lengths[0]} to {lengths[-1]} places: give those of one length")
    return torch.from_numpy(np.stack(parts))
