"""Named losses, and where objectives are found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from weft.batch import Batch
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


OBJECTIVES: Registry[type[Objective]] = Registry("objective", "weft.objectives", ("weft.objectives.builtin",))
