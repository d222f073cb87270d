"""Episodes as the data of a run: their processor, their rows, and what comes of the returns that are asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.data.signals import Control, EpisodeSettings, write_processor
from weft.data.sources import Say, quiet
from weft.hub import load
from weft.recipes.account import Sample
from weft.recipes.feed import Told
from weft.recipes.modalities.signal_feed import SignalFeed
from weft.recipes.recipe import Recipe
from weft.recipes.rollouts import Rolled, clone, reader_of, roll
from weft.recipes.rollouts import judged as scored
from weft.training.watch import Watcher


@dataclass(frozen=True)
class EpisodeFeed(SignalFeed):
    """Rows of steps."""

    control: Control

    @property
    def digest(self) -> str:
        """See `Control`."""
        return self.control.digest

    @property
    def split(self) -> tuple[str, ...]:
        """See `Control`."""
        return (self.control.split,)

    def write(self, out: Path) -> None:
        """The processor."""
        write_processor(out, self.control.processor)

    def told(self, recipe: Recipe, out: Path, watch: Watcher, *, finished: bool) -> Told:
        """Of the finished model, as it was saved, what comes of the returns that are asked in its world."""
        if not finished or not recipe.minimised.alone or not self.control.processor.world:
            return Told()
        return told_of(out, recipe.data, 0, say=watch.notice)

    def account(self) -> dict[str, Any]:
        """Episodes, steps and rows."""
        parts = [self.control.train.episodes, self.control.held_out.episodes]
        return {
            "episodes": [len(part.lengths) for part in parts],
            "steps": [len(part.rewards) for part in parts],
            "samples": [len(self.train), len(self.held_out)],
            "digest": self.digest,
        }


def told_of(folder: Path, settings: EpisodeSettings, seed: int, *, device: str = "cpu", say: Say = quiet) -> Told:
    """The model in a folder, asked for returns in its world: what comes of each, and the figures of all. Stepping a
    world takes longer than asking a model of this size, which a CPU does best."""
    model = load(folder, device=device)
    processor = reader_of(model, folder)
    rolled = roll(model, processor, settings, seed, say)
    cloned = clone(settings, processor.world, seed, device, say) if processor.returns else None
    return Told(samples=table(rolled), metrics=scored(rolled, cloned))


def table(rolled: Rolled) -> tuple[Sample, ...]:
    """What came of each return that was asked, a line each; nothing of a model that clones."""
    found = [f"{asked:10.4g} {mean:10.4g} ± {error:.3g}" for asked, mean, error, _ in rolled.table()]
    if not found:
        return ()
    count = rolled.table()[0][-1]
    head = f"came, mean of {count} episodes ± its standard error"
    return (Sample(f"returns asked in {rolled.world}", "\n".join((head, *found)), translates=True),)
