"""What became of asking a model about each of some data."""

from __future__ import annotations

from dataclasses import dataclass

from weft.evaluate import Interval, Score


@dataclass(frozen=True)
class Part:
    """How well some of the examples were answered, which have a name: of one kind of question, say."""

    name: str
    examples: int
    score: Score
    interval: Interval | None


@dataclass(frozen=True)
class Predicted:
    """How many examples were answered, and the metric of the task with its interval (see `Metric.interval`), where the
    data say what is right. more: other metrics of the same answers. parts: the metric of some of them, where they are
    of several kinds. apart: of data that its run was trained on, nothing was asked but what it is known to have
    held out, or left out."""

    examples: int
    score: Score | None
    interval: Interval | None
    more: tuple[Score, ...] = ()
    parts: tuple[Part, ...] = ()
    apart: bool = False
