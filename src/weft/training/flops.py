"""What a step asks of the machine: operations, counted in the first one, and memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import Module

from weft.flops import Counter
from weft.training.modes import Modes
from weft.training.objective import Objective
from weft.training.optimisers import Optimiser
from weft.training.precision import Precision


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


def passes(module: Module, objective: Objective, batches: Sequence[Any]) -> float:
    """The forward and backward passes of some micro-batches, in training, with whatever the objective has around the
    model; their loss. Dropout draws as if nobody had asked, and the module's gradients are gone afterwards."""
    loss = 0.0
    with Modes(module).borrowed(), torch.random.fork_rng(devices=[]):
        for batch in batches:
            terms = objective.losses(module, batch).values()
            total = torch.stack([term.weight * term.sum for term in terms]).sum()
            total.backward()
            loss += total.item()
    module.zero_grad()
    return loss


def operations(module: Module, objective: Objective, batches: Sequence[Any]) -> int:
    """Operations of those passes."""
    with Counter() as counter:
        passes(module, objective, batches)
    return counter.total


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
