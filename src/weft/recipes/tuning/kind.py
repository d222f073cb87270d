"""What each task is from files to figures: how examples are read, become rows, and how scores become answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from weft.batch import Tokenizer
from weft.data.labelled import Padded
from weft.data.sources import Say
from weft.evaluate import Metric, Needs, metric_for
from weft.objectives.tasks import Task
from weft.objectives.tasks_head import Pooling
from weft.recipes.tuning.description import Columns, Description, Reading


@dataclass(frozen=True)
class How:
    """What a person and the model say of the objective. pooling: of a row, see `WithHead`; dropout: the model's.
    language: the weight of a row's own tokens, see `RowTask`."""

    pooling: Pooling
    layers: int | None
    dropout: float
    language: float = 0.0


class Encoded(ABC):
    """Examples as rows of ids, and the way back from their scores, which stand in the order of the rows."""

    data: Padded

    @abstractmethod
    def predicted(self, scores: Sequence[np.ndarray], needs: Needs) -> list[Any]:
        """What a metric of this kind reads of each example."""

    @abstractmethod
    def gold(self, needs: Needs) -> list[Any]:
        """What it is to be."""

    @abstractmethod
    def lines(self, scores: Sequence[np.ndarray]) -> Iterator[dict[str, Any]]:
        """What is written of each example, as JSON."""


class Kind(ABC):
    """A task. learns: the class of its objective. hears: what can be said to it of columns, rows and head, by its name
    in `Columns` and `Tuning`. gives: what its metrics read, the usual first. metric, context (tokens of a row): the
    usual ones."""

    learns: ClassVar[type[Task]]
    hears: ClassVar[frozenset[str]]
    gives: ClassVar[tuple[Needs, ...]]
    metric: ClassVar[str]
    context: ClassVar[int] = 128

    @abstractmethod
    def read(self, path: Path, columns: Columns, *, labelled: bool) -> list[Any]:
        """The examples of a file. ValueError or DamagedFile names file and line."""

    def usual(self, examples: Sequence[Any]) -> str:
        """The metric where none is asked for."""
        return self.metric

    def labels(self, examples: Sequence[Any], metric: Metric) -> tuple[str, ...]:
        """The classes that examples to train on have."""
        return ()

    def groups(self, examples: Sequence[Any]) -> Sequence[str]:
        """What each example is one of, so that some of them are chosen in proportion: its class; all alike where there
        is none."""
        return [""] * len(examples)

    def two(self, columns: Columns) -> bool:
        """Whether a row holds two texts."""
        return columns.pair is not None

    def classes(self, examples: Sequence[Any], labels: tuple[str, ...]) -> int:
        """How many classes a row may be of."""
        return len(labels)

    def absent(self, examples: Sequence[Any], labels: tuple[str, ...], metric: Metric) -> tuple[str, ...]:
        """The classes that no example to train on has. ValueError naming file and line for one that is not known."""
        return ()

    @abstractmethod
    def objective(self, examples: Sequence[Any], labels: tuple[str, ...], how: How) -> Task:
        """What is minimised."""

    @abstractmethod
    def encode(
        self, examples: Sequence[Any], description: Description, tokenizer: Tokenizer, say: Say, *, labelled: bool
    ) -> Encoded:
        """Examples as rows. ValueError naming file and line for a label that is not known."""

    def check_heard(self, said: Iterable[str], task: str, could: Collection[str] | None = None) -> None:
        """ValueError for what is said, by its name, where it means nothing; of what could be said (None: everything) it
        names what means something."""
        for name in said:
            if name not in self.hears:
                heard = sorted(self.hears if could is None else self.hears & set(could))
                raise ValueError(
                    f"{name.replace('_', '-')} says nothing to the task {task}: leave it out; of these it hears "
                    + (", ".join(heard).replace("_", "-") or "none")
                )

    def fitting(self, name: str, task: str) -> Metric:
        """The metric called `name`. UnknownName, or ValueError where it does not fit the task."""
        return metric_for(name, self.gives, task)


def most(reading: Reading, context: int | None) -> Reading:
    """The reading, of rows no longer than the model places. ValueError where more, or nothing, was asked for."""
    if reading.context < 1:
        raise ValueError(f"rows of {reading.context} tokens hold nothing: --longest {Kind.context} is usual")
    if context is not None and reading.context > context:
        raise ValueError(
            f"rows of {reading.context} tokens, and the model places {context}: ask for rows of {context} or fewer "
            f"(--longest {context})"
        )
    return reading
