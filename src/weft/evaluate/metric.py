"""Metrics by name, and what each of them can score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from weft.evaluate.inputs import Array
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
        return f"{self.name} {self.value:.4g} ({self.signature})"


@dataclass(frozen=True)
class Metric:
    """A metric of predictions against gold.

    needs: of what, see `GIVEN`.
    definition: in a line; the signature of a score whose function returns a bare number.
    function: (predicted, gold) -> that number, or a `Score` with a signature of its own.
    perfect: the value where all is right. higher: whether higher is better. shares: (predicted, gold) -> a and b
    [N] of the samples, where the metric is Σ a / Σ b: what makes a bootstrap of it quick.
    """

    name: str
    needs: Needs
    definition: str
    function: Callable[[Any, Any], float | Score]
    perfect: float = 1.0
    higher: bool = True
    shares: Callable[[Any, Any], tuple[Array, Array]] | None = None

    def score(self, predicted: Any, gold: Any) -> Score:
        """The score of all samples together. ValueError from the function, for what it cannot score."""
        found = self.function(predicted, gold)
        return found if isinstance(found, Score) else Score(found, self.definition, self.name)

    def by_place(self, predicted: Any, gold: Any) -> Callable[[Array], float]:
        """The score of some of these samples, by their places int64 [n], as a `Bootstrap` asks for it."""
        if self.shares is None:
            return lambda places: self.score([predicted[at] for at in places], [gold[at] for at in places]).value
        above, below = self.shares(predicted, gold)
        return lambda places: float(above[places].sum() / below[places].sum())


METRICS: Registry[Metric] = Registry("metric", "weft.metrics", ("weft.evaluate.builtin",))


def fitting(needs: Needs) -> list[str]:
    """The names of the metrics of classes, of numbers, …; sorted."""
    return [name for name in METRICS.names() if METRICS.get(name).needs == needs]


def metric_for(name: str, gives: Needs, task: str) -> Metric:
    """The metric called `name`, for a task that gives classes, or numbers, …; `task` is what it is called in errors.

    UnknownName where there is none, ValueError where it needs something else, both with those that there are.
    """
    found = METRICS.get(name)
    if found.needs != gives:
        raise ValueError(
            f"the metric {name!r} needs {found.needs} ({GIVEN[found.needs]}), and does not fit {task}, which gives "
            f"{gives}; there are: {', '.join(fitting(gives)) or 'none'}"
        )
    return found
