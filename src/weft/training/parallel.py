"""One module on several processes: whole on each (DDP), or in shares (FSDP2). Alone it is called as it is."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn import Module, ModuleList
from torch.nn.parallel import DistributedDataParallel

from weft.batch import Item
from weft.training.objective import Objective, Term
from weft.training.world import World

Losses = Callable[[Item], Mapping[str, Term]]


class Engine:
    """Computes the losses of a batch so that gradients are averaged over processes, and says where that happens."""

    def __init__(self, losses: Losses, sync: Callable[[bool], AbstractContextManager[object]], sharded: bool):
        self.losses, self.sync, self.sharded = losses, sync, sharded


def engine(module: Module, objective: Objective, world: World, parallel: str) -> Engine:
    """How a run computes its losses. With "fsdp" the module's parameters become shares of themselves, in place."""
    if world.size == 1:
        return Engine(lambda batch: objective.losses(module, batch), lambda last: nullcontext(), sharded=False)
    if parallel == "ddp":
        whole = DistributedDataParallel(_Called(module, objective), find_unused_parameters=True)
        return Engine(whole, lambda last: nullcontext() if last else whole.no_sync(), sharded=False)
    shard(module)
    assert isinstance(module, FSDPModule)
    return Engine(lambda batch: objective.losses(module, batch), _Sync(module), sharded=True)


def shard(module: Module) -> None:
    """Split every layer's parameters over the processes, then the rest. Layers are what lies in a ModuleList."""
    for layer in layers(module):
        fully_shard(layer)
    fully_shard(module)


def layers(module: Module) -> Iterator[Module]:
    """The members of the outermost ModuleLists."""
    for child in module.children():
        if isinstance(child, ModuleList):
            yield from child
        else:
            yield from layers(child)


class _Called(Module):
    """DDP prepares its reduction in `forward`, so all of the computation has to happen in one."""

    def __init__(self, module: Module, objective: Objective):
        super().__init__()
        self.module, self.objective = module, objective

    def forward(self, batch: Item) -> Mapping[str, Term]:
        return self.objective.losses(self.module, batch)


class _Sync:
    def __init__(self, module: Any):
        self.module = module

    def __call__(self, last: bool) -> AbstractContextManager[object]:
        self.module.set_requires_gradient_sync(last)
        return nullcontext()


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A share as the whole it belongs to; any other tensor as it is. Called by all processes."""
    return tensor.full_tensor() if isinstance(tensor, torch.distributed.tensor.DTensor) else tensor
