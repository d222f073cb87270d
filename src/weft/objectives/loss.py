"""Named losses, and where objectives are found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from weft.batch import Batch, Dataset, Tokenizer
from weft.registry import Registry


@dataclass(frozen=True)
class Loss:
    """A sum over `count` labels, and its weight in the total. The trainer divides once, by a whole step's count.

    sum: fp32 scalar, with the graph behind it.
    """

    sum: Tensor
    count: int
    weight: float = 1.0


class Objective(Protocol):
    """What is minimised: named losses, whose counts are known from the batch before the forward pass."""

    def counts(self, batch: Batch) -> dict[str, int]:
        """For each term, over how many labels `losses` will sum."""
        ...

    def losses(self, module: Any, batch: Batch) -> dict[str, Loss]:
        """The terms of one forward pass of a bare module. ValueError for a batch that it cannot be asked about."""
        ...


@runtime_checkable
class Turns(Protocol):
    """An objective that turns a text's rows into others: it hides something of them, and asks for it.

    What it minimises is then no likelihood of the text: it says nothing of bits per byte.
    """

    @property
    def predicted(self) -> float:
        """The share of a row's tokens that it asks for."""
        ...

    def ids(self, tokenizer: Tokenizer) -> int:
        """How many ids its rows are made of, at the least those of the tokenizer."""
        ...

    def turn(self, data: Dataset[Batch], tokenizer: Tokenizer, seed: int) -> Dataset[Batch]:
        """The same samples in the same order, as it asks for them. What is done to a sample depends on the seed, the
        epoch and the sample alone."""
        ...


def turned(objective: Objective, data: Dataset[Batch], tokenizer: Tokenizer, seed: int = 0) -> Dataset[Batch]:
    """The rows that an objective is given: the data's own, unless it turns them into others."""
    return objective.turn(data, tokenizer, seed) if isinstance(objective, Turns) else data


def ids(objective: Objective, tokenizer: Tokenizer) -> int:
    """How many ids a model needs for the rows that an objective is given."""
    return objective.ids(tokenizer) if isinstance(objective, Turns) else tokenizer.vocab


def predicted(objective: Objective) -> float:
    """The share of a row's tokens that an objective asks for, as far as is known before there are rows."""
    return objective.predicted if isinstance(objective, Turns) else 1.0


OBJECTIVES: Registry[Callable[..., Objective]] = Registry("objective", "weft.objectives", ("weft.objectives.builtin",))
