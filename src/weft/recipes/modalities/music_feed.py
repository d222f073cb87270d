"""Music as the data of a run: its notation, its rows, how likely held-out pieces are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from weft.data.signals import write_processor
from weft.data.signals.notation import Notation
from weft.data.signals.scores import Music
from weft.evaluate import Score, likelihood
from weft.hub import load
from weft.recipes.feed import Told
from weft.recipes.modalities.signal_feed import SignalFeed
from weft.recipes.recipe import Recipe
from weft.training.watch import Watcher

EVENTS, EVENT, STEP = "nats of an event", "nats_per_event", "nats_per_step"


@dataclass(frozen=True)
class MusicFeed(SignalFeed):
    """Rows of ids."""

    music: Music

    @property
    def digest(self) -> str:
        """See `Music`."""
        return self.music.digest

    @property
    def split(self) -> tuple[str, ...]:
        """See `Music`."""
        return (self.music.split,)

    def write(self, out: Path) -> None:
        """The notation."""
        write_processor(out, self.music.notation)

    def figures(
        self, module: nn.Module, share: tuple[int, int], total: Callable[[Sequence[float]], list[float]]
    ) -> dict[str, float]:
        """ "loss": the mean -log p of an event; "nats_per_step": of a step of the grid, all its events together."""
        found = likelihood(module, self.held_out, self.recipe.minimised, bytes=None, share=share, total=total)
        return {"loss": found.nats_per_token, STEP: found.nats / self.music.steps, "events": found.tokens}

    def told(self, recipe: Recipe, out: Path, watch: Watcher, *, finished: bool) -> Told:
        """Of the finished model, as it was saved, the figures with their definitions."""
        if not finished:
            return Told(loss=EVENTS)
        found = likelihood(load(out).module, self.held_out, recipe.minimised, bytes=None)
        said = scores(found.nats, found.tokens, self.music.steps, self.music.notation)
        return Told(metrics={one.name: one for one in said}, loss=EVENTS, makes="piece.mid")

    def account(self) -> dict[str, Any]:
        """Pieces, rows and ids."""
        train, held_out = self.music.train, self.music.held_out
        return {
            "pieces": [len(train.pieces), len(held_out.pieces)],
            "rows": [len(train), len(held_out)],
            "events": [sum(len(ids) - 1 for ids in part.pieces) for part in (train, held_out)],
            "digest": self.digest,
        }


def scores(nats: float, events: int, steps: int, notation: Notation) -> tuple[Score, Score]:
    """-log p of pieces by the event and by the step, with what an event is."""
    voices = f"a grid of {notation.voices} voices" if notation.encoding == "voices" else "events of notes and waits"
    how = f"-log p, {voices}, {notation.per_quarter} steps a quarter, ends of pieces included"
    return (
        Score(nats / events, f"{how}; mean over events", EVENT),
        Score(nats / steps, f"{how}; summed over the events of a step", STEP),
    )
