"""What does a packed row (segments, so a materialised mask) cost against segments=None, by kernel?

    PYTHONPATH=src python benchmarks/spikes/packed_rows.py [--rounds 9] [--threads 1]

One causal attention, forward + backward, H 6, K 64, 4096 tokens in all, about four documents a row; medians over rounds
in which every contestant runs once, in the thread's own processor time (the machine is shared). "(sight)": mask and
numbering, once per pass for all layers.

Printed here, plain -> packed ms:        T=256 bf16       T=1024 bf16       T=256 fp32       T=1024 fp32
    matmul                               83.4 ->  78.5    402.1 -> 409.0   122.1 -> 119.9    742.5 -> 759.3
    sdpa                                 93.9 ->  99.1    196.5 -> 280.5    84.2 ->  86.0    231.7 -> 328.9
    blocked                              42.8 ->  43.8    133.7 -> 161.4    77.3 ->  79.3    203.1 -> 223.0
    eager                                       -                -        129.8 -> 145.3    846.6 -> 843.4
    (sight)                               0.4 ->   4.1      0.5 ->  30.1     0.4 ->   4.3      0.5 ->  14.4
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import replace

import torch

from weft.nn import KERNELS, Causal, Field, Layout, Rope, Scoring, attend

H, K, TOKENS = 6, 64, 4096


def segments(rows: int, length: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    cuts = torch.rand(rows, length, generator=draw) < 4 / length
    return cuts.long().cumsum(dim=1) + 1


def milliseconds(function) -> float:  # noqa: ANN001
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    began = clock()
    function()
    return 1e3 * (clock() - began)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    rounds, cpu = arguments.rounds, torch.device("cpu")
    torch.set_num_threads(arguments.threads)
    print("type  T     kernel    plain ms  packed ms  ratio", "   load", os.getloadavg()[0])
    for dtype in (torch.bfloat16, torch.float32):
        for length in (256, 1024):
            rows, field = TOKENS // length, Field(Rope(K), Causal())
            torch.manual_seed(0)
            q, k, v = (torch.randn(rows, length, H, K, dtype=dtype, requires_grad=True) for _ in range(3))
            seed = torch.randn(rows, length, H, K, dtype=dtype)
            layouts = {"plain": Layout(), "packed": Layout(segments=segments(rows, length))}
            sights = {what: field.among(here, length, cpu) for what, here in layouts.items()}

            def once(kernel: str, what: str) -> None:
                out = attend(q, k, v, replace(sights[what], kernel=kernel), Scoring())  # noqa: B023
                out.backward(seed)  # noqa: B023

            times: dict[tuple[str, str], list[float]] = {}
            cases = [
                (kernel, what) for kernel in KERNELS for what in layouts if kernel != "eager" or dtype == torch.float32
            ]
            for turn in range(rounds + 1):
                for case in cases:
                    spent = milliseconds(lambda case=case: once(*case))
                    if turn:
                        times.setdefault(case, []).append(spent)
                for what, here in layouts.items():
                    spent = milliseconds(lambda here=here: field.among(here, length, cpu))  # noqa: B023
                    if turn:
                        times.setdefault(("(sight)", what), []).append(spent)
            kind = "bf16" if dtype == torch.bfloat16 else "fp32"
            for kernel in (*KERNELS, "(sight)"):
                if (kernel, "plain") in times:
                    plain, packed = (statistics.median(times[kernel, what]) for what in layouts)
                    print(
                        f"{kind}  {length:4}  {kernel:8} {plain:8.1f} {packed:9.1f}  {packed / plain:6.2f}", flush=True
                    )


if __name__ == "__main__":
    main()
