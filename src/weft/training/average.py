"""Averages of weights: a moving one while a run goes on, and the mean of several checkpoints after it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Module

from weft.training.optimisers import trainable
from weft.training.sharded import local, share


class Average:
    """An exponential moving average of the trainable weights, in their own precision: a <- d a + (1 - d) w after
    every update (Polyak & Juditsky 1992 for the mean itself).

    d is min(decay, (1 + n) / (10 + n)) after n updates, so that the first weights, which know nothing, are soon
    forgotten. Buffers (running statistics) are not averaged.
    """

    def __init__(self, module: Module, decay: float):
        self.decay = decay
        self.weights = trainable(module)
        self.averages = {name: weight.detach().clone() for name, weight in self.weights.items()}

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Take the weights in, after so many updates of them."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
            [local(average) for average in self.averages.values()],
            [local(weight) for weight in self.weights.values()],
            1 - decay,
        )

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside it the module's weights are the averages."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def settle(self) -> None:
        """The averages become the weights, for good."""
        for name, weight in self.weights.items():
            weight.copy_(self.averages[name])

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

    def _swap(self) -> None:
        for name, weight in self.weights.items():  # the numbers, not the memory: FSDP2 knows where its shares lie
            mine, other = local(weight), local(self.averages[name])
            kept = mine.clone()
            mine.copy_(other)
            other.copy_(kept)


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
