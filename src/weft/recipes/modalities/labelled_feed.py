"""Labelled signals as the data of a run: their processor, their rows, how often the model is right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.data.signals import Signals, write_processor
from weft.evaluate import METRICS
from weft.evaluate.judged import judged
from weft.hub import load
from weft.recipes.feed import Anew, Told
from weft.recipes.modalities.signal_feed import SignalFeed
from weft.recipes.recipe import Recipe
from weft.training.watch import Watcher


@dataclass(frozen=True)
class LabelledFeed(SignalFeed):
    """Rows of vectors, with a class each where they have any."""

    signals: Signals
    anew: Anew | None = None

    @property
    def digest(self) -> str:
        """See `Signals`."""
        return self.signals.digest

    def write(self, out: Path) -> None:
        """The processor, and the names of the classes."""
        write_processor(out, self.signals.processor, self.signals.classes)

    def told(self, recipe: Recipe, out: Path, watch: Watcher, *, finished: bool) -> Told:
        """Of the finished model, as it was saved, the accuracy with its definition."""
        metric, unit = METRICS.get("accuracy"), recipe.minimised.loss_unit
        if not finished or not recipe.minimised.alone:
            return Told(loss=unit)
        found = judged(load(out).module, self.held_out, recipe.minimised)
        if metric.name not in found:
            return Told(loss=unit)
        return Told(metrics={metric.name: metric.said(found[metric.name])}, loss=unit)

    def account(self) -> dict[str, Any]:
        """Samples and classes."""
        return {
            "samples": [len(self.train), len(self.held_out)],
            "classes": len(self.signals.classes),
            "digest": self.digest,
        }
