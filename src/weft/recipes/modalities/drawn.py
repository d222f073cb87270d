"""Drawn pictures: what was asked for, and how they are shown."""

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


def shown(pictures: np.ndarray, names: Sequence[str] | None, asked: Drawn, out: Path) -> str:
    """Write them as a PNG, a line for each prompt, and say so."""
    write_grid(out, pictures, asked.count, names)
    return f"{len(pictures):,} pictures, {asked.count} in a line: {out}"
