"""Pictures with captions as the data of a run that learns to draw them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.batch import Tokenizer
from weft.data.drawings import Drawings
from weft.data.signals import write_processor
from weft.recipes.feed import Told
from weft.recipes.modalities.signal_feed import SignalFeed
from weft.recipes.recipe import Recipe
from weft.training.watch import Watcher


@dataclass(frozen=True)
class DrawingFeed(SignalFeed):
    """Rows of ids, rows of patches, and the noise that is put on them."""

    drawings: Drawings

    @property
    def digest(self) -> str:
        """See `Drawings`."""
        return self.drawings.digest

    def write(self, out: Path) -> None:
        """The tokenizer, the processor, and the names of the classes."""
        self.drawings.tokenizer.save(out)
        write_processor(out, self.drawings.processor, self.drawings.classes)

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Of the texts."""
        return self.drawings.tokenizer

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
