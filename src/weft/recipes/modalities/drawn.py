"""Drawn pictures: what was asked for, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from weft.data.signals.grid import check_grid, write_grid
from weft.data.sources import Say, quiet
from weft.recipes.feed import Told
from weft.recipes.modality import Drawn, Modality
from weft.recipes.predicted import Predicted


class Draws(Modality):
    """Data of which a model draws pictures: see `Modality.draw`."""

    def written(self, asked: Drawn, out: Path) -> tuple[Path, ...]:
        """One PNG."""
        check_grid(out)
        return (out,)

    def generate(self, folder: Path, asked: Drawn, out: Path, *, device: str = "auto", say: Say = quiet) -> str:
        """A PNG: a line for each prompt, or class."""
        self.written(asked, out)  # before hours of drawing
        return shown(*self.draw(folder, asked, device=device, say=say), asked, out)

    def predict(
        self, folder: Path, data: Path, out: Path | None, *, labelled: bool, device: str = "auto", say: Say = quiet
    ) -> Predicted:
        """ValueError: it draws."""
        raise ValueError(_judged(folder))

    def tell(self, folder: Path, seed: int, *, say: Say = quiet) -> Told:
        """ValueError: another model says what is drawn."""
        raise ValueError(_judged(folder))


def _judged(folder: Path) -> str:
    return (
        f"{folder} draws pictures, of which another model says what they show: `weft eval {folder} --judge DIR --data "
        "PICTURES`, DIR a model that tells such pictures apart"
    )


def each_often(asked: Drawn, classes: Sequence[str]) -> tuple[str, ...]:
    """What each picture is to show: every prompt (none: every class) as often as is asked for."""
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
