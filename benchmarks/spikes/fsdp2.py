"""Does FSDP2 give a single process's gradients for an encoder-decoder whose memory, masks and position table travel in
frozen dataclasses, with auxiliary terms returned by a branch, with and without activation checkpointing?

    PYTHONPATH=src python benchmarks/spikes/fsdp2.py

Two gloo processes on the CPU, Transformer (2017) "debug" with T5 position tables (shared, owned by the stack, hence by the
root) and a feed-forward that returns an auxiliary term. Gradients are sums over rows, so that they must be equal.
"""

from __future__ import annotations

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
POLICY = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False)
CAST = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
METHODS = ("encode", "decode", "logits", "nats")


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
    for stack in (module.encoder, module.decoder):
        for block in stack.layers:
            block.mlp.branch.__class__ = Weighed
        for field in stack.fields.values():
            for p in field.parameters():
                nn.init.normal_(p)
    return module


def batch() -> tuple[Tensor, Tensor, Tensor, Layout]:
    draw = torch.Generator().manual_seed(1)
    source, tokens, labels = (torch.randint(131, (4, n), generator=draw) for n in (17, 13, 13))
    return source, tokens, labels, Layout.ragged(torch.tensor([17, 9, 12, 17]), 17)


def loss_of(module: EncoderDecoder, rows: slice, way: str, half: bool) -> Tensor:
    source, tokens, labels, here = batch()
    source, tokens, labels = source[rows], tokens[rows], labels[rows]
    here = Layout(order=here.order[rows], segments=here.segments[rows])
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        if way == "encode":  # a loss on the memory alone, which leaves the root inside a dataclass
            states = module.encode(source, here).states.float()
            return (states * torch.linspace(-1, 1, 48)).sum()
        if way == "forward":
            x, auxiliary = module(source, tokens, here)
        else:
            x, auxiliary = module.decode(tokens, memory=module.encode(source, here))
        return module.nats(x, labels) + 0.1 * auxiliary["size"]


def gap(got: dict[str, Tensor], want: dict[str, Tensor]) -> tuple[float, str]:
    whole = sum(w.square().sum() for w in want.values()).sqrt()
    gaps = {
        n: ((got[n] - w).norm() / w.norm().clamp(min=1e-2 * whole)).item() if n in got else 9.0 for n, w in want.items()
    }
    worst = max(gaps, key=gaps.__getitem__)
    return gaps[worst], worst


def case(way: str, again: str, methods: tuple[str, ...], half: bool, policy: MixedPrecisionPolicy | None) -> str:
    rank, world = dist.get_rank(), dist.get_world_size()
    alone = make() if policy is None else make().bfloat16()
    for _ in range(2):  # twice: the second pass is the one where state of the first would show
        loss_of(alone, slice(None), way, half and policy is None).backward()
    want = {n: p.grad.float() for n, p in alone.named_parameters() if p.grad is not None}
    module, mesh = make(), init_device_mesh("cpu", (world,))
    options = {"mesh": mesh} if policy is None else {"mesh": mesh, "mp_policy": policy}
    for stack in (module.encoder, module.decoder):
        for block in stack.layers:
            if again == "composable":
                checkpoint(block)
            elif again == "utils":
                block.forward = partial(recompute, block.forward, use_reentrant=False)
            fully_shard(block, **options)
    fully_shard(module, **options)
    for name in methods:
        register_fsdp_forward_method(module, name)
    ended.clear()
    try:
        for _ in range(2):
            loss = loss_of(module, slice(2 * rank, 2 * rank + 2), way, half and policy is None)
            (loss * world).backward()  # FSDP2 averages
            ended.append("end")
        got = {n: p.grad.full_tensor() for n, p in module.named_parameters() if p.grad is not None}
    except Exception as error:
        return f"FAILED {type(error).__name__}: {str(error).splitlines()[0][:150]}"
    worst, name = gap(got, want)
    open_groups = sum(
        not g.is_sharded
        for m in module.modules()
        if hasattr(m, "_get_fsdp_state")
        for g in m._get_fsdp_state()._fsdp_param_groups
    )
    order = " ".join(ended[: ended.index("end")])
    return (
        f"gradients ±{worst:.0e}"
        + (f" ({name}; {len(want) - len(got)} missing)" if worst > 1e-4 else "")
        + (f"; order of reductions {order}; left unsharded {open_groups}" if way == "encode" or again == "" else "")
    )


ended: list[str] = []  # parameter groups in the order in which their backward pass ended; "|": by the final sweep


def watch() -> None:
    """Record when FSDP2 reduces the gradients of each group."""
    plain, sweep = FSDPParamGroup.post_backward, FSDPState._root_post_backward_final_callback

    def post_backward(self: FSDPParamGroup, *unused: object) -> None:
        ended.append((self._module_fqn or "root").replace("layers.", "").replace("coder", ""))
        plain(self, *unused)

    def final(self: FSDPState) -> None:
        ended.append("|")
        sweep(self)

    FSDPParamGroup.post_backward, FSDPState._root_post_backward_final_callback = post_backward, final


def work(rank: int, world: int, port: int) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    watch()
    dist.init_process_group("gloo", rank=rank, world_size=world)
    cases = [
        (way, again, methods, half, policy)
        for half, policies in ((False, (None,)), (True, (None, POLICY, CAST)))
        for policy in policies
        for way in ("forward", "encode+decode", "encode")
        for again in ("", "composable", "utils")
        for methods in ((), METHODS[2:], METHODS)
        if not half or (methods in ((), METHODS) and again != "utils" and (methods or way == "forward"))
    ]
    for way, again, methods, half, policy in cases:
        text = case(way, again, methods, half, policy)
        if rank == 0:
            mixed = "" if policy is None else f" FSDP casts{' inputs too' if policy.cast_forward_inputs else ''}"
            print(
                f"{'autocast' if half and not mixed else 'fp32' if not half else 'bf16'}{mixed} | {way:13} | again: {again or 'no':10} | "
                f"registered: {', '.join(methods) or 'none'} | {text}",
                flush=True,
            )
        dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    spawn(work, args=(2, 29533), nprocs=2)
