"""One module on several processes: whole on each (DDP), or in shares (FSDP2). Alone it is called as it is."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn import Module, ModuleList, Parameter
from torch.nn.parallel import DistributedDataParallel

from weft.batch import Item
from weft.objectives import Loss
from weft.training.objective import Objective, Term
from weft.training.world import World


class Engine:
    """Computes the losses of a batch on one process, alone."""

    sharded = False  # whether parameters (and their gradients, and what optimisers keep of them) are shares

    def __init__(self, module: Module, objective: Objective):
        self.module, self.objective = module, objective

    def losses(self, batch: Item) -> Mapping[str, Term]:
        """The objective's losses; their backward pass averages gradients over processes where `sync` says so."""
        return self.objective.losses(self.module, batch)

    def sync(self, last: bool) -> AbstractContextManager[object]:
        """Around forward and backward pass of a micro-batch: only the `last` one of a step averages."""
        return nullcontext()

    def agree(self) -> None:
        """Before a step and before an evaluation: every process has the main one's buffers (running statistics)."""

    def release(self) -> None:
        """After an evaluation: nothing that was gathered for it stays."""


class Replicas(Engine):
    """The whole module on each process; gradients are averaged while the backward pass goes on."""

    def __init__(self, module: Module, objective: Objective):
        super().__init__(module, objective)
        # some parameters may have no gradient, others only on some processes
        self.whole = DistributedDataParallel(_Called(module, objective), find_unused_parameters=True)

    def losses(self, batch: Item) -> Mapping[str, Term]:
        return self.whole(batch)

    def sync(self, last: bool) -> AbstractContextManager[object]:
        return nullcontext() if last else self.whole.no_sync()

    def agree(self) -> None:
        _spread(self.module.buffers())


class Shares(Engine):
    """Every parameter cut along its first dimension, a share on each process; a layer is whole while it computes.

    Changes the module in place. Every process must do the same forward passes, in evaluation too.
    """

    sharded = True

    def __init__(self, module: Module, objective: Objective, world: World):
        super().__init__(module, objective)
        _spread([*module.parameters(), *module.buffers()])  # shares of one module, however each process built its own
        mesh = init_device_mesh(next(module.parameters()).device.type, (world.size,))
        for layer in dict.fromkeys(layers(module)):  # one that is used twice, once
            fully_shard(layer, mesh=mesh)
        self.root = fully_shard(module, mesh=mesh)

    def sync(self, last: bool) -> AbstractContextManager[object]:
        self.root.set_requires_gradient_sync(last)
        return nullcontext()

    def agree(self) -> None:
        _spread(self.module.buffers())

    def release(self) -> None:
        # without a backward pass the outermost parameters stay whole, and the next pass would use them as they were
        for part in self.module.modules():
            if isinstance(part, FSDPModule):
                part.reshard()


def engine(module: Module, objective: Objective, world: World, parallel: str) -> Engine:
    """How a run computes its losses: alone, or with "ddp" or "fsdp" on several processes."""
    if world.size == 1:
        return Engine(module, objective)
    return Replicas(module, objective) if parallel == "ddp" else Shares(module, objective, world)


def layers(module: Module) -> Iterator[Module]:
    """What is called of the members of the outermost ModuleLists: a member that has no forward pass, such as another
    list, stands for its own."""
    for child in module.children():
        yield from _called(child) if isinstance(child, ModuleList) else layers(child)


def _called(module: Module) -> Iterator[Module]:
    for child in module.children():
        if type(child).forward is Module.forward and "forward" not in vars(child):  # torch's, which only raises
            yield from _called(child)
        else:
            yield child


class _Called(Module):
    """DDP prepares its reduction in `forward` and looks for tensors in what that returns, in dicts and dataclasses."""

    def __init__(self, module: Module, objective: Objective):
        super().__init__()
        self.module, self.objective = module, objective
        # where all parameters are used, DDP warns that it was asked to look for others; here is one
        self.unused = Parameter(torch.zeros(1, device=next(module.parameters()).device))

    def forward(self, batch: Item) -> dict[str, Loss]:
        losses = self.objective.losses(self.module, batch)
        return {name: Loss(term.sum, term.count, term.weight) for name, term in losses.items()}


@torch.no_grad()
def _spread(tensors: Iterator[torch.Tensor] | list[torch.Tensor]) -> None:
    """Overwrite tensors with the main process's."""
    for tensor in tensors:
        dist.broadcast(tensor, src=0)
