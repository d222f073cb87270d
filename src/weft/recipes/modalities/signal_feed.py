"""Labelled signals as the data of a run: their processor, their rows, how often the model is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from weft.batch import Batch, Dataset
from weft.data.signals import Signals, write_processor
from weft.evaluate import METRICS
from weft.evaluate.judged import judged
from weft.hub import load, write_model
from weft.models import Blueprint
from weft.recipes.feed import Feed, Told
from weft.recipes.recipe import Recipe
from weft.training.watch import Watcher


@dataclass(frozen=True)
class SignalFeed(Feed):
    """Rows of vectors."""

    recipe: Recipe
    blueprint: Blueprint
    signals: Signals
    train: Dataset[Batch]
    held_out: Dataset[Batch]
    notices: tuple[str, ...]
    headline = "loss"

    @property
    def digest(self) -> str:
        """See `Signals`."""
        return self.signals.digest

    def write(self, out: Path) -> None:
        """The processor, and the names of the classes."""
        write_processor(out, self.signals.processor, self.signals.classes)

    def save(self, tensors: Mapping[str, Tensor], out: Path) -> None:
        """The model, in weft's own layout."""
        write_model(tensors, self.blueprint, None, out)
        self.write(out)

    def figures(
        self, module: nn.Module, share: tuple[int, int], total: Callable[[Sequence[float]], list[float]]
    ) -> dict[str, float]:
        """The mean loss and, where the objective answers, the share of right answers."""
        return judged(module, self.held_out, self.recipe.minimised, share=share, total=total)

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
