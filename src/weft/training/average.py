"""Averages of weights: a moving one while a run goes on, and the mean of several checkpoints after it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Module

from weft.training.optimisers import trainable
from weft.training.sharded import local, share


class Average:
    """An exponential moving average of the trainable weights: a <- d a + (1 - d) w after every update (Polyak &
    Juditsky 1992 for the mean itself).

    In fp32 at least: in bf16 a step of it is too small to change the number that it is added to.

    d is min(decay, (1 + n) / (10 + n)) after n updates, so that the first weights, which know nothing, are soon
    forgotten. Buffers (running statistics) are not averaged.
    """

    def __init__(self, module: Module, decay: float):
        self.decay = decay
        self.weights = trainable(module)
        self.averages = {
            name: weight.detach().to(torch.promote_types(weight.dtype, torch.float32), copy=True)
            for name, weight in self.weights.items()
        }

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Take the weights in, after so many updates of them."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
            [local(average) for average in self.averages.values()],
            [local(weight).to(self.averages[name].dtype) for name, weight in self.weights.items()],
            1 - decay,
        )

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside it the module's weights are the averages."""
        # the numbers are exchanged, not the memory: FSDP2 knows where its shares lie
        kept = {name: local(weight).clone() for name, weight in self.weights.items()}
        self.settle()
        try:
            yield
        finally:
            for name, weight in self.weights.items():
                local(weight).copy_(kept[name])

    @torch.no_grad()
    def settle(self) -> None:
        """The averages become the weights, for good."""
        for name, weight in self.weights.items():
            local(weight).copy_(local(self.averages[name]))

    def tensors(self) -> dict[str, Tensor]:
        """The averages, by name; not copies."""
        return dict(self.averages)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` gave. ValueError names what does not fit."""
        if tensors.keys() != self.averages.keys():
            odd = ", ".join(sorted(tensors.keys() ^ self.averages.keys())[:4])
            raise ValueError(f"the averaged weights are not this model's: {odd}")
        for name, average in self.averages.items():
            average.copy_(share(tensors[name], average))


def mean(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several models' tensors, summed in fp64; whole numbers are taken from the last one."""
    if not states:
        raise ValueError("the mean of no checkpoints is nothing: name one at least")
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
    if any(other != shapes[0] for other in shapes):
        raise ValueError("the checkpoints do not have the same tensors, so they are not of one model")
    found: dict[str, Tensor] = {}
    for name, tensor in states[-1].items():
        if tensor.is_floating_point():
            total = torch.zeros(tensor.shape, dtype=torch.float64)
            for state in states:
                total += state[name]
            tensor = (total / len(states)).to(tensor.dtype)
        found[name] = tensor
    return found
