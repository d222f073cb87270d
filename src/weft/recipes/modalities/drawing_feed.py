"""Pictures with captions as the data of a run that learns to draw them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from weft.batch import Batch, Dataset
from weft.data.drawings import Drawings
from weft.data.signals import write_processor
from weft.evaluate.judged import judged
from weft.hub import write_model
from weft.models import Blueprint
from weft.recipes.feed import Feed, Told
from weft.recipes.recipe import Recipe
from weft.training.watch import Watcher


@dataclass(frozen=True)
class DrawingFeed(Feed):
    """Rows of ids, rows of patches, and the noise that is put on them."""

    recipe: Recipe
    blueprint: Blueprint
    drawings: Drawings
    train: Dataset[Batch]
    held_out: Dataset[Batch]
    notices: tuple[str, ...]
    headline = "loss"

    @property
    def digest(self) -> str:
        """See `Drawings`."""
        return self.drawings.digest

    def write(self, out: Path) -> None:
        """The tokenizer, the processor, and the names of the classes."""
        self.drawings.tokenizer.save(out)
        write_processor(out, self.drawings.processor, self.drawings.classes)

    def save(self, tensors: Mapping[str, Tensor], out: Path) -> None:
        """The model, in weft's own layout."""
        write_model(tensors, self.blueprint, self.drawings.tokenizer, out)
        self.write(out)

    def figures(
        self, module: nn.Module, share: tuple[int, int], total: Callable[[Sequence[float]], list[float]]
    ) -> dict[str, float]:
        """ "loss": the mean squared error of what is told, of the same noise each time."""
        return judged(module, self.held_out, self.recipe.minimised, share=share, total=total)

    def told(self, recipe: Recipe, out: Path, watch: Watcher, *, finished: bool) -> Told:
        """What it makes where nothing is asked for: of captions, nothing."""
        return Told(loss="squared error", makes="pictures.png" if self.drawings.classes else "")

    def account(self) -> dict[str, Any]:
        """Samples, ids and classes."""
        return {
            "samples": [len(self.train), len(self.held_out)],
            "vocabulary": self.drawings.tokenizer.vocab,
            "classes": len(self.drawings.classes),
            "digest": self.digest,
        }
