"""What do taps and the empty adapter slots cost a decode step (budget 3%), and when do hooks on a compiled module fire?

    PYTHONPATH=src python benchmarks/spikes/taps_and_adapters.py [--shape 25m] [--type bf16] [--rounds 300] [--threads 1]

Against a copy whose Taps are a bare function and whose Linears are nn.Linear, sharing every weight; single steps in random
order; the thread's own processor time (the machine is shared), medians of the differences within a round.

Printed here, 25m bf16, both removed: eager 235 ± 48 of 11763 µs = 2.0% (the model against itself: -0.4%), compiled 43 ± 17
of 7426 µs = 0.6% (itself: -0.5%). debug fp32 (nothing but overhead): eager 86 ± 9 of 1209 µs = 7.1% (itself: 2.1%),
compiled 7 ± 2 of 270 µs = 2.8% (itself: 0.3%). Hooks: before compiling fires; after DOES NOT; after with
torch._dynamo.reset(), with skip_nnmodule_hook_guards=False, or on the uncompiled module fires.
`hooks` was shortened after that run and has not run in this form.
"""

from __future__ import annotations

import argparse
import copy
import os
import random
import statistics
import time
import warnings

import torch
from decode_step import make
from torch import nn

from weft.nn import Decoder, Linear, Tap

warnings.filterwarnings("ignore")


class Nothing:
    """What a Tap would be if it were not there."""

    active = False

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x


def strip(module: nn.Module, *, taps: bool, adapters: bool) -> nn.Module:
    """A copy that shares every weight (where a tensor lies in memory alone makes 1.7%)."""
    module = copy.deepcopy(module, {id(p): p for p in module.parameters()})
    for part in list(module.modules()):
        for name, child in list(part._modules.items()):
            if taps and isinstance(child, Tap):
                del part._modules[name]
                object.__setattr__(part, name, Nothing())
            if adapters and isinstance(child, Linear):
                plain = nn.Linear(child.width_in, child.width_out, bias=child.bias is not None, device="meta")
                plain.weight, plain.bias = child.weight, child.bias
                part._modules[name] = plain
    return module


def stepper(module: Decoder, dtype: torch.dtype, *, compiled: bool):  # noqa: ANN201
    cache = module.cache(1, 1024, dtype=dtype)
    with torch.inference_mode():
        module(torch.arange(20)[None], None, cache)
    last = torch.tensor([[5]])

    def body(tokens, cache):  # noqa: ANN001, ANN202
        return module.logits(module(tokens, None, cache)[0])[:, -1].argmax(-1, keepdim=True)

    run = torch.compile(body, fullgraph=True, dynamic=False) if compiled else body

    @torch.inference_mode()
    def once() -> None:
        cache.truncate(20)
        if compiled:
            cache.reserve(1)
        run(last, cache)

    return once


def costs(module: Decoder, dtype: torch.dtype, rounds: int, *, compiled: bool) -> None:
    variants = {
        "as it is": module,
        "no taps": strip(module, taps=True, adapters=False),
        "nn.Linear": strip(module, taps=False, adapters=True),
        "neither": strip(module, taps=True, adapters=True),
        "itself again": strip(module, taps=False, adapters=False),  # the noise
    }
    steps = {name: stepper(variant, dtype, compiled=compiled) for name, variant in variants.items()}
    for step in steps.values():
        for _ in range(3):
            step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            began = time.thread_time()
            steps[name]()
            times[name].append(1e3 * (time.thread_time() - began))
    for name in steps:
        differences = sorted(a - b for a, b in zip(times["as it is"], times[name], strict=True))
        own, middle = statistics.median(times["as it is"]), len(differences) // 2
        spread = (
            1.2 * (differences[3 * middle // 2] - differences[middle // 2]) / rounds**0.5
        )  # of the median, about 2 σ
        print(
            f"  {'compiled' if compiled else 'eager':8} {name:12} {statistics.median(times[name]):7.3f} ms/token, best "
            f"{min(times[name]):7.3f}; as it is costs {1e3 * differences[middle]:+6.0f} ± {1e3 * spread:.0f} µs, "
            f"{100 * differences[middle] / own:+5.1f}%",
            flush=True,
        )


def hooks() -> None:
    def fires(when: str, *, compiled: bool = True) -> str:
        torch._dynamo.reset()
        module, seen, tokens = make("debug", torch.float32), [], torch.arange(9)[None]
        run = torch.compile(lambda t: module(t)[0], fullgraph=True)
        if when != "before":
            run(tokens)
        module.stack.layers[0].attn.branch.mixed.register_forward_hook(lambda part, given, out: seen.append(1) and None)
        if when == "reset":
            torch._dynamo.reset()
        run(tokens) if compiled else module(tokens)
        return "fires" if seen else "DOES NOT FIRE"

    print(
        f"  hook added before compiling: {fires('before')}; after: {fires('after')}; after, torch._dynamo.reset():",
        end=" ",
    )
    print(f"{fires('reset')}; after, module called uncompiled: {fires('after', compiled=False)}", end="")
    with torch._dynamo.config.patch(skip_nnmodule_hook_guards=False):
        print(f"; after, skip_nnmodule_hook_guards=False: {fires('after')}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", default="25m")
    parser.add_argument("--type", default="bf16", choices=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument(
        "--threads", type=int, default=1, help="one: a second one waits for whoever else uses the machine"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dtype = torch.float32 if arguments.type == "fp32" else torch.bfloat16
    hooks()
    print(f"  {arguments.shape} {arguments.type}, load {os.getloadavg()[0]:.1f}")
    module = make(arguments.shape, dtype)
    for compiled in (False, True):
        costs(module, dtype, arguments.rounds, compiled=compiled)


if __name__ == "__main__":
    main()
