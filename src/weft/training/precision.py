"""Which number type the products run in: measured once per run, recorded, replayed on resume."""

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

WORTH_IT = 1.3  # bf16 must beat fp32 by this much: below it, casting eats the gain and fp32 is the more exact
SIDE = 1024  # large enough that a product is bound by arithmetic, small enough to take milliseconds


@dataclass(frozen=True)
class Precision:
    """A decision and its grounds. Weights stay fp32 either way; bf16 is what products are computed in."""

    dtype: Literal["bf16", "fp32"]
    reason: str
    bf16_gflops: float = 0.0  # measured; 0 = not measured
    fp32_gflops: float = 0.0

    def torch_dtype(self) -> torch.dtype:
        """The torch type of the products."""
        return torch.bfloat16 if self.dtype == "bf16" else torch.float32


def choose(precision: Literal["auto", "bf16", "fp32"], device: torch.device) -> Precision:
    """Decide for this machine. "auto" takes bf16 only where it is at least 1.3 times as fast as fp32."""
    if precision != "auto":
        return Precision(precision, "asked for")
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return Precision("bf16", "this GPU computes in bf16") if fast else Precision("fp32", "this GPU has no bf16")
    if device.type != "cpu":
        return Precision("fp32", f"bf16 is not measured on {device.type}")
    single, half = measure()
    ratio = f"a bf16 product runs at {half / single:.1f} times the speed of fp32 here"
    if half >= WORTH_IT * single:
        return Precision("bf16", ratio, round(half, 1), round(single, 1))
    return Precision("fp32", ratio, round(half, 1), round(single, 1))


def measure(side: int = SIDE, repeats: int = 10, patience: float = 2.0) -> tuple[float, float]:
    """Best GFLOP/s of a [side, side] product on the CPU in fp32 and in bf16, stopping early after `patience` seconds.

    The two take turns and the best of each counts: another program that holds a core for a moment slows either, and one
    slow product must not decide how a whole run computes (seen: 0.8 times instead of 2.3).
    """
    # an own generator: probing must not move the default one, which data may draw from
    single = torch.randn(side, side, generator=torch.Generator().manual_seed(0))
    operands, best, began = (single, single.bfloat16()), [float("inf")] * 2, time.perf_counter()
    for attempt in range(repeats + 1):  # the first turn prepares the kernels
        seconds = [_timed(x) for x in operands]
        late = time.perf_counter() - began > patience
        if attempt or late:
            best = [min(pair) for pair in zip(best, seconds, strict=True)]
        if late:
            break
    return 2 * side**3 / best[0] / 1e9, 2 * side**3 / best[1] / 1e9


def _timed(x: Tensor) -> float:
    began = time.perf_counter()
    torch.mm(x, x)
    return time.perf_counter() - began


def autocast(decision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context in which the forward pass runs."""
    if decision.dtype == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
