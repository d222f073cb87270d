"""Sounds with transcripts as the data of a run: their processor, their tokenizer, how well they are understood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from weft.batch import Tokenizer
from weft.data.order import places
from weft.data.progress import counted
from weft.data.signals import write_processor
from weft.data.signals.prepare_speech import Speech
from weft.evaluate import METRICS, Score
from weft.evaluate.judged import judged
from weft.hub import Language, load
from weft.hub.hearing import heard
from weft.recipes.account import Sample
from weft.recipes.feed import Told
from weft.recipes.modalities.signal_feed import SignalFeed
from weft.recipes.recipe import Recipe
from weft.training.watch import Watcher

SAMPLES = 3  # held-out transcripts that are shown


@dataclass(frozen=True)
class SpeechFeed(SignalFeed):
    """Rows of frames or samples, of any length, with what is said in them."""

    speech: Speech
    language: Language

    @property
    def digest(self) -> str:
        """See `Speech`."""
        return self.speech.digest

    @property
    def split(self) -> tuple[str, ...]:
        """See `Speech`."""
        return (self.speech.split,)

    def write(self, out: Path) -> None:
        """The processor, the names of the classes or the tokenizer, and what else is said of text."""
        hearing = self.speech.hearing
        write_processor(out, hearing.processor, hearing.classes)
        if hearing.tokenizer is not None:
            hearing.tokenizer.save(out)
        self.language.write(out)

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Of the texts."""
        return self.speech.hearing.tokenizer

    def figures(
        self, module: nn.Module, share: tuple[int, int], total: Callable[[Sequence[float]], list[float]]
    ) -> dict[str, float]:
        """The mean loss and, where the objective answers, the share of right answers."""
        return judged(module, self.held_out, self.recipe.minimised, rows=64, share=share, total=total)

    def told(self, recipe: Recipe, out: Path, watch: Watcher, *, finished: bool) -> Told:
        """Of the finished model, as it was saved, the error rates of what it hears in all that is held out."""
        if not finished or not recipe.minimised.alone:
            return Told()
        data, model = self.speech.held_out, load(out)
        each, count = places(0, range(len(data))), len(data)
        watch.notice(f"hearing the {count:,} held-out sounds …")
        found = heard(model, data.rows(each), advance=counted(watch.notice, "heard", count))
        gold = data.texts(each)
        samples = [Sample(said, text, translates=True) for said, text in zip(gold, found, strict=True)]
        return Told(metrics=scores(found, gold, self.speech.hearing.form == "class"), samples=tuple(samples[:SAMPLES]))

    def account(self) -> dict[str, Any]:
        """Samples, and what they are made of."""
        hearing = self.speech.hearing
        return {
            "samples": [len(self.train), len(self.held_out)],
            "vocabulary": 0 if hearing.tokenizer is None else hearing.tokenizer.vocab,
            "classes": len(hearing.classes),
            "digest": self.digest,
        }


def scores(found: Sequence[str], gold: Sequence[str], classes: bool) -> dict[str, Score]:
    """How well texts fit what was said: the share that are right, and, where they are no classes, error rates."""
    names = ("accuracy",) if classes else ("wer", "cer", "accuracy")
    return {name: METRICS.get(name).score(list(found), list(gold)) for name in names}
