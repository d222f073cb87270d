"""Does FSDP2 give one process's gradients where memory, masks and position tables travel in frozen dataclasses, and a
branch returns an auxiliary term, with and without activation checkpointing? And for methods other than forward?

    PYTHONPATH=src python benchmarks/spikes/fsdp2.py

Two gloo processes (CPU), Transformer (2017) "debug", T5 tables owned by the stacks (so by the root), two backward passes.

Printed here (torch 2.13): fp32 ±3e-07 in every case that runs, with either way of checkpointing; reductions run layer by
layer while the backward pass goes on ("|" is the final sweep), nothing stays unsharded. `encode` and `decode` called from
outside fail ("mixed torch.Tensor and DTensor") unless registered. `nats` and `logits` need no registration after a
forward pass (the root stays gathered) and cost a second reduction of the root if they are. bf16: ±1e-02 to 4e-02, with and
without cast_forward_inputs, as autocast under FSDP2 without its casting.
"""

import os
import warnings
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed._composable import checkpoint
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.fsdp._fully_shard._fsdp_param_group import FSDPParamGroup
from torch.distributed.fsdp._fully_shard._fsdp_state import FSDPState
from torch.multiprocessing.spawn import spawn
from torch.utils.checkpoint import checkpoint as recompute

from weft.models.family import FAMILIES
from weft.nn import MLP, Context, EncoderDecoder, Layout, T5Scheme

warnings.filterwarnings("ignore")
POLICIES = {c: MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=c) for c in (False, True)}
METHODS = ("encode", "decode", "logits", "nats")
ended: list[str] = []  # parameter groups in the order in which their gradients were reduced


class Weighed(MLP):
    """A feed-forward that returns an extra loss term, as a router would."""

    def forward(self, x: Tensor, ctx: Context, slot: None = None) -> tuple[Tensor, dict[str, Tensor]]:
        y, _ = super().forward(x, ctx)
        return y, {"size": y.float().square().sum()}


def make() -> EncoderDecoder:
    family = FAMILIES.get("transformer")
    config = family.config(**{**family.sizes["debug"], "dropout": 0.0})
    torch.manual_seed(0)
    module = family.build(config, position=T5Scheme())
    family.initialise(module, config)
    for block in (*module.encoder.layers, *module.decoder.layers):
        block.mlp.branch.__class__ = Weighed
    return module


def loss_of(module: EncoderDecoder, rows: slice, way: str, cast: bool) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    source, tokens, labels = (torch.randint(131, (4, n), generator=draw)[rows] for n in (17, 13, 13))
    here = Layout.ragged(torch.tensor([17, 9, 12, 17])[rows], 17)
    with torch.autocast("cpu", torch.bfloat16, enabled=cast):
        if way == "encode":  # a loss on the memory alone, which leaves the root inside a dataclass
            return (module.encode(source, here).states.float() * torch.linspace(-1, 1, 48)).sum()
        memory = None if way == "forward" else module.encode(source, here)
        x, auxiliary = module(source, tokens, here) if memory is None else module.decode(tokens, memory=memory)
        return module.nats(x, labels) + 0.1 * auxiliary["size"]


def case(way: str, again: str, methods: tuple[str, ...], cast: bool, policy: MixedPrecisionPolicy | None) -> str:
    rank, world = dist.get_rank(), dist.get_world_size()
    alone, module = make() if policy is None else make().bfloat16(), make()
    for block in (*module.encoder.layers, *module.decoder.layers):
        if again == "composable":
            checkpoint(block)
        elif again == "utils":
            block.forward = partial(recompute, block.forward, use_reentrant=False)
    options = {"mesh": init_device_mesh("cpu", (world,)), **({} if policy is None else {"mp_policy": policy})}
    for part in (*module.encoder.layers, *module.decoder.layers, module):
        fully_shard(part, **options)
    for name in methods:
        register_fsdp_forward_method(module, name)
    try:
        for _ in range(2):  # twice, so that state left by the first pass would show
            ended.clear()
            loss_of(alone, slice(None), way, cast).backward()
            (loss_of(module, slice(2 * rank, 2 * rank + 2), way, cast) * world).backward()  # FSDP2 averages
    except Exception as error:
        return f"FAILED {type(error).__name__}: {str(error).splitlines()[0][:90]}"
    want = {n: p.grad.float() for n, p in alone.named_parameters() if p.grad is not None}
    got = {n: p.grad.full_tensor() for n, p in module.named_parameters() if p.grad is not None}
    floor = 1e-2 * nn.utils.get_total_norm(list(want.values()))  # key biases have no gradient but noise
    worst = max(((got[n] - w).norm() / w.norm().clamp(min=floor)).item() for n, w in want.items())
    shards = [
        g.is_sharded
        for m in module.modules()
        if isinstance(m, FSDPState | nn.Module)
        if hasattr(m, "_get_fsdp_state")
        for g in m._get_fsdp_state()._fsdp_param_groups
    ]
    return f"gradients ±{worst:.0e}; left unsharded {shards.count(False)}; reduced: {' '.join(ended)}"


def watch() -> None:
    reduce, sweep = FSDPParamGroup.post_backward, FSDPState._root_post_backward_final_callback

    def post_backward(self: FSDPParamGroup, *unused: object) -> None:
        ended.append((self._module_fqn or "root").replace("layers.", "").replace("coder", ""))
        reduce(self, *unused)

    FSDPParamGroup.post_backward = post_backward
    FSDPState._root_post_backward_final_callback = lambda self: (ended.append("|"), sweep(self))[1]


def work(rank: int, world: int) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29533"}
    torch.set_num_threads(1)
    watch()
    dist.init_process_group("gloo", rank=rank, world_size=world)
    kinds = {"fp32": (False, None), "autocast": (True, None)} | {
        f"bf16 cast={c}": (False, p) for c, p in POLICIES.items()
    }
    for kind, (cast, policy) in kinds.items():
        for way in ("forward", "encode+decode", "encode"):
            for again in ("no", "composable", "utils"):
                for methods in ((), METHODS[2:], METHODS) if kind == "fp32" else (METHODS,):
                    text = case(way, again, methods, cast, policy)
                    if rank == 0:
                        print(f"{kind:15} {way:13} again: {again:10} {len(methods)} registered | {text}", flush=True)


if __name__ == "__main__":
    spawn(work, args=(2,), nprocs=2)
