"""What a prompted model scored: each draw with its interval, spread over seeds, what random labels cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from weft.data.sources import Say, quiet
from weft.evaluate.intervals import Bootstrap, Comparison, Interval, Spread, over_seeds
from weft.evaluate.metric import Metric, Score
from weft.evaluate.prompting.shots import Draw


@dataclass(frozen=True)
class Run:
    """All rows under one draw of examples. predicted, gold: of each row, as the metric reads it; lines: what is written
    of each row, as JSON; interval: see `Metric.interval`."""

    draw: Draw
    predicted: Sequence[Any]
    gold: Sequence[Any]
    lines: Sequence[dict[str, Any]]
    score: Score
    interval: Interval | None

    @classmethod
    def of(
        cls,
        draw: Draw,
        metric: Metric,
        predicted: Sequence[Any],
        gold: Sequence[Any],
        lines: Sequence[dict[str, Any]],
        say: Say = quiet,
    ) -> Run:
        """Scored, with an interval."""
        return cls(draw, predicted, gold, lines, metric.score(predicted, gold), metric.interval(predicted, gold, say))


@dataclass(frozen=True)
class Prompted:
    """Every draw, in the order of shares and then of seeds."""

    metric: Metric
    runs: Sequence[Run]

    @cached_property
    def by_share(self) -> dict[float, list[Run]]:
        """The runs of each share of random labels."""
        found: dict[float, list[Run]] = {}
        for run in self.runs:
            found.setdefault(run.draw.random_labels, []).append(run)
        return found

    def spread(self, share: float) -> Spread | None:
        """Mean and deviation over the seeds of a share; None for a single one."""
        scores = [run.score.value for run in self.by_share[share]]
        return over_seeds(scores) if len(scores) > 1 else None

    def against(self, share: float) -> Comparison | None:
        """The first share's score less this one's, both means over the seeds, on the same rows (`Bootstrap.paired`:
        rows are drawn anew, the seeds are those that they are). None for the first share, and for a single row."""
        first, *_ = self.by_share
        if share == first or len(self.runs[0].gold) < 2:
            return None
        sides = [[self.metric.at(run.predicted, run.gold) for run in self.by_share[one]] for one in (first, share)]
        ours, theirs = (_mean(side) for side in sides)
        return Bootstrap().paired(ours, theirs, len(self.runs[0].gold))

    @cached_property
    def constant(self) -> float | None:
        """What the commonest right choice would score for every row; None where nothing is chosen."""
        if self.metric.needs != "classes":
            return None
        gold = self.runs[0].gold
        commonest = Counter(gold).most_common(1)[0][0]
        return self.metric.score([commonest] * len(gold), gold).value


def _mean(sides: Sequence[Any]) -> Any:
    def of(places: np.ndarray) -> float:
        return sum(side(places) for side in sides) / len(sides)

    return of
