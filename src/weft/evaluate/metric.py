"""Metrics by name, and what each of them can score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from weft.data.progress import counted
from weft.data.sources import Say, quiet
from weft.evaluate.inputs import Array
from weft.evaluate.intervals import Bootstrap, Corpus, Interval
from weft.registry import Registry

Needs = Literal["classes", "numbers", "tags", "answers", "texts", "probabilities"]
GIVEN: dict[Needs, str] = {
    "classes": "an int or a str a sample, on both sides",
    "numbers": "a number a sample, on both sides",
    "tags": "a list of tags a sample, on both sides",
    "answers": "a text a question, against a list of all answers it has, [] for none",
    "texts": "a text a sample, against a reference or a list of references",
    "probabilities": "a probability for each class, against the number of the gold one",
}


@dataclass(frozen=True)
class Score:
    """A number, and the definition it was computed by: to be printed beside it."""

    value: float
    signature: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} {self.value:z.4g} ({self.signature})"


@dataclass(frozen=True)
class Metric:
    """A metric of predictions against gold.

    needs: of what, see `GIVEN`.
    definition: in a line; the signature of a score whose function returns a bare number.
    function: (predicted, gold) -> that number, or a `Score` with a signature of its own.
    perfect: the value where all is right. higher: whether higher is better.
    places: (predicted, gold) -> the score of the samples at some places, int64 [n], where that is faster than scoring
    them anew.
    """

    name: str
    needs: Needs
    definition: str
    function: Callable[[Any, Any], float | Score]
    perfect: float = 1.0
    higher: bool = True
    places: Callable[[Any, Any], Corpus] | None = None

    def score(self, predicted: Any, gold: Any) -> Score:
        """The score of all samples together. ValueError from the function, for what it cannot score."""
        found = self.function(predicted, gold)
        return found if isinstance(found, Score) else Score(found, self.definition, self.name)

    def check(self, classes: int) -> None:
        """ValueError where it is of classes, and cannot score so many; better said before there is work to score."""
        if self.needs == "classes" and classes:
            self.score(range(classes), range(classes))

    def said(self, value: float) -> Score:
        """A value that was counted elsewhere by this definition, as a score."""
        return Score(value, self.definition, self.name)

    def at(self, predicted: Any, gold: Any) -> Corpus:
        """The score of the samples at some places, as `Bootstrap` asks for it."""
        if self.places is not None:
            return self.places(predicted, gold)
        return lambda places: self.score([predicted[i] for i in places], [gold[i] for i in places]).value

    def interval(self, predicted: Any, gold: Any, say: Say = quiet) -> Interval | None:
        """The score's interval over samples (`Bootstrap`); None for a single sample, and where a resample cannot be
        scored: a correlation with gold that is all alike, say. say: hears of the progress."""
        if len(gold) < 2:
            return None
        how, of = Bootstrap(), self.at(predicted, gold)
        advance = counted(say, f"the interval of {self.name}: resamples", how.resamples + 1)

        def watched(places: Array) -> float:
            advance(1)
            return of(places)

        try:
            return how.corpus(watched, len(gold))
        except ValueError:
            return None


def mean_of(function: Callable[[Any, Any], float]) -> Callable[[Any, Any], Corpus]:
    """`Metric.places` of a metric that is the mean of what it gives each sample alone."""

    def prepare(predicted: Any, gold: Any) -> Corpus:
        each = np.array([function([one], [right]) for one, right in zip(predicted, gold, strict=True)])  # [N]
        return lambda places: float(each[places].mean())

    return prepare


def ratio_of(parts: Callable[[Any, Any], tuple[Array, Array]]) -> Callable[[Any, Any], Corpus]:
    """`Metric.places` of a metric that is Σ a / Σ b of what `parts` makes of the samples, a and b [N]."""

    def prepare(predicted: Any, gold: Any) -> Corpus:
        above, below = parts(predicted, gold)
        return lambda places: float(above[places].sum() / below[places].sum())

    return prepare


METRICS: Registry[Metric] = Registry("metric", "weft.metrics", ("weft.evaluate.builtin",))


def fitting(needs: Needs) -> list[str]:
    """The names of the metrics of classes, of numbers, …; sorted."""
    return [name for name in METRICS.names() if METRICS.get(name).needs == needs]


def metric_for(name: str, gives: Needs | tuple[Needs, ...], task: str) -> Metric:
    """The metric called `name`, for a task that gives classes, or numbers, …, or either of several; `task` is what it
    is called in errors.

    UnknownName where there is none, ValueError where it needs something else, both with those that there are.
    """
    found = METRICS.get(name)
    kinds: tuple[Needs, ...] = gives if isinstance(gives, tuple) else (gives,)
    if found.needs not in kinds:
        there = [name for kind in kinds for name in fitting(kind)]
        raise ValueError(
            f"the metric {name!r} needs {found.needs} ({GIVEN[found.needs]}), and does not fit {task}, which gives "
            f"{' or '.join(kinds)}; there are: {', '.join(there) or 'none'}"
        )
    return found
