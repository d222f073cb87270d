"""What the trainer minimises, and the errors of a run."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn import Module, Parameter

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


@runtime_checkable
class Leaf(Protocol):
    """Where a graph ends: torch's node that adds to the gradient of a tensor that was not computed."""

    @property
    def variable(self) -> Tensor: ...


def check_leaves(loss: Tensor, module: Module) -> None:
    """ValueError where `loss` was computed from a parameter that is not the module's, which no optimiser would train.

    Walks the whole graph, so once a run. Where the module lies in shares nothing is checked: what was computed with
    there are other tensors than its parameters.
    """
    parameters = list(module.parameters())
    if any(isinstance(parameter, DTensor) for parameter in parameters):
        return
    mine = {id(parameter) for parameter in parameters}
    waiting, seen = [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        # a leaf that is no Parameter is the batch's, or noise that a loss takes the gradient of
        if isinstance(node, Leaf) and isinstance(node.variable, Parameter) and id(node.variable) not in mine:
            raise ValueError(
                f"the loss depends on a parameter {list(node.variable.shape)} that is not the module's: nobody would "
                "train it. Put what it belongs to inside the module, or freeze it with requires_grad_(False)"
            )
        waiting += [before for before, _ in node.next_functions]


def check_weights(module: Module, step: int) -> None:
    """Diverged where a weight is not finite, so that such weights never push a good checkpoint out."""
    for name, parameter in module.named_parameters():
        if not bool(local(parameter).isfinite().all()):
            raise Diverged(f"step {step}: {name} holds a number that is not finite; {ADVICE}")
