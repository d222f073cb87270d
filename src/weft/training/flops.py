"""What a step asks of the machine: operations, counted in the first one, and memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from weft.training.optimisers import Optimiser
from weft.training.precision import Precision

Formula = Callable[..., int]


def attention(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> int:
    """Operations of a fused kernel on q [B, H, T, K], k [B, G, S, K], v [B, G, S, Kv]: two products, as if every
    query saw every key."""
    return 2 * q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2] * (q.shape[3] + v.shape[3])


def attention_backward(grad: Tensor, q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> int:
    """Operations of its backward pass: the scores anew, and a product for each of weights, v, q and k."""
    return 2 * q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2] * (3 * q.shape[3] + 2 * v.shape[3])


def formulas() -> dict[Any, Formula]:
    """Operations by kernel. torch's own leave out the CPU's fused attention, and refuse fewer key heads than heads."""
    kinds = ("flash_attention", "efficient_attention", "cudnn_attention", "flash_attention_for_cpu")
    names = [f"_scaled_dot_product_{kind}" for kind in kinds]
    forward: dict[Any, Formula] = {getattr(torch.ops.aten, name): attention for name in names}
    backward = {getattr(torch.ops.aten, f"{name}_backward"): attention_backward for name in names}
    return {**flop_registry, **forward, **backward}


class Counter(TorchDispatchMode):
    """Counts the operations (a multiplication and an addition are two) of the matrix products and convolutions that run
    inside it, and leaves alone what they compute.

    torch's FlopCounterMode has the same formulas, and takes composite kernels apart before it runs them: SiLU's
    gradient then has other bits, and a resumed run is no longer the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self.formulas = formulas()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = self.formulas.get(func.overloadpacket) if isinstance(func, OpOverload) else None
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=out)
        return out


class Meter:
    """Operations of one token's forward and backward pass, in training: known after the first step.

    Recomputed activations count twice, as they are computed; the optimiser's own products do not. A compiled step is
    not counted: its kernels are no operations that torch sees.
    """

    def __init__(self, compiled: bool):
        self.wanted = not compiled
        self.counted = 0  # operations of the step just taken by this process, where it was the first
        self.per_token: float | None = None

    @contextmanager
    def counting(self, optimiser: Optimiser) -> Iterator[None]:
        """Count what happens inside until the optimiser steps, as long as nothing is known."""
        self.counted = 0
        if not self.wanted or self.per_token is not None:
            yield
            return
        with Counter() as counter:

            def note(*_: Any) -> None:
                self.counted = counter.total

            hook = optimiser.parts[0].register_step_pre_hook(note)
            try:
                yield
            finally:
                hook.remove()

    def learn(self, operations: float, tokens: float) -> None:
        """All processes' operations in a step of so many tokens; none where nothing was counted."""
        if operations and tokens:
            self.per_token = operations / tokens

    def gflops(self, tokens_per_second: float) -> float | None:
        """The rate of operations at a speed; None where they were not counted."""
        return None if self.per_token is None else float(f"{self.per_token * tokens_per_second / 1e9:.4g}")


def peak(precision: Precision) -> float:
    """GFLOP/s of a large matrix product in the run's precision; 0 = it was not measured."""
    return precision.bf16_gflops if precision.dtype == "bf16" else precision.fp32_gflops


def memory(device: torch.device) -> int | None:
    """Bytes, the most so far: allocated on the GPU, else resident of this process; None where the system has no word
    for it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
