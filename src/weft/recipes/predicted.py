"""What became of asking a model about each of some data."""

from __future__ import annotations

from dataclasses import dataclass

from weft.evaluate import Interval, Score


@dataclass(frozen=True)
class Predicted:
    """How many examples were answered, and the metric of the task with its interval (see `Metric.interval`), where the
    data say what is right. beside: other figures of the same answers."""

    examples: int
    score: Score | None
    interval: Interval | None
    beside: tuple[Score, ...] = ()
