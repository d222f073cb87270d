"""Pixels as the data of a run: how likely the model finds held-out pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from weft.evaluate import Score, likelihood
from weft.hub import load
from weft.recipes.feed import Told
from weft.recipes.modalities.labelled_feed import LabelledFeed
from weft.recipes.recipe import Recipe
from weft.training.watch import Watcher

BITS, NATS = "bits_per_pixel", "nats a pixel"
DEFINITION = "-log2 p of a held-out picture's pixels, as the nearest colours, over their number; given its class if any"


@dataclass(frozen=True)
class PixelFeed(LabelledFeed):
    """Rows of ids."""

    def figures(
        self, module: nn.Module, share: tuple[int, int], total: Callable[[Sequence[float]], list[float]]
    ) -> dict[str, float]:
        """The mean loss, and the same in bits."""
        found = likelihood(module, self.held_out, self.recipe.minimised, bytes=None, rows=64, share=share, total=total)
        return {"loss": found.nats_per_token, BITS: found.nats_per_token / math.log(2)}

    def told(self, recipe: Recipe, out: Path, watch: Watcher, *, finished: bool) -> Told:
        """Of the finished model, as it was saved, the bits with their definition."""
        if not finished:
            return Told(loss=NATS)
        found = self.figures(load(out).module, (0, 1), list)
        return Told(metrics={BITS: Score(found[BITS], DEFINITION, BITS)}, loss=NATS, makes="grid.png")
