"""What the trainer minimises, and the errors of a run."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor
from torch.nn import Module

from weft.training.sharded import local

ADVICE = "no checkpoint was overwritten. Lower the rate, lengthen the warm-up, use fp32, or look at the samples"


class Diverged(ValueError):
    """A number that is not finite came up; the run stops before it reaches a checkpoint."""


class Term(Protocol):
    """One loss: a sum over `count` labels, and its weight in the total. Where count is 0, sum is a finite 0 that
    still depends on the weights: on several processes all go through the same backward pass."""

    @property
    def sum(self) -> Tensor: ...

    @property
    def count(self) -> int: ...

    @property
    def weight(self) -> float: ...


@runtime_checkable
class Objective(Protocol):
    """What is minimised. `counts` knows before the forward pass what `losses` will count."""

    def counts(self, batch: Any) -> Mapping[str, int]: ...

    def losses(self, module: Any, batch: Any) -> Mapping[str, Term]: ...


def check_weights(module: Module, step: int) -> None:
    """Diverged where a weight is not finite, so that such weights never push a good checkpoint out."""
    for name, parameter in module.named_parameters():
        if not bool(local(parameter).isfinite().all()):
            raise Diverged(f"step {step}: {name} holds a number that is not finite; {ADVICE}")
