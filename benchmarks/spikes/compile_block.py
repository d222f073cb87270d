"""Does torch.compile(fullgraph=True) take a Stack whose Context, Sight and Layout are frozen dataclasses?

    PYTHONPATH=src python benchmarks/spikes/compile_block.py [--family llama|gpt2] [--speed]

"debug" widths, 3 x 128: graphs over three batches, loss and gradients against eager, fp32 and bf16 autocast, one document
a row and packed. --speed: "small", 8 x 256, one thread; undisturbed, bf16, plain: 1.04 (stack alone) and 1.05 (with
`nats`) times the eager speed under the rule's kernel, 1.00 under sdpa, after 17 to 48 s of compiling.

Printed here: one graph, no break, no recompilation in all 32 cases (rule = blocked, sdpa, matmul; stack alone or with
`nats`); fp32 gradients ±4e-07 to 8e-07, bf16 ±9e-03 to 2e-02. At 633289c every llama case failed: "non-contiguous `out=`
tensor" in `position._Rotate`; since 9b91c40 `rotate` takes its plain form while compiling, as this spike had asked.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from contextlib import nullcontext

import torch
from torch._dynamo.utils import counters

from weft.models.family import FAMILIES
from weft.nn import Layout, kernels

warnings.filterwarnings("ignore")


def make(name: str, size: str) -> tuple[torch.nn.Module, int]:
    family = FAMILIES.get(name)
    config = family.config(**{**family.sizes[size], "context": 256})
    torch.manual_seed(0)
    module = family.build(config)
    family.initialise(module, config)
    return module, config.vocab


def batch(vocab: int, rows: int, length: int, packed: bool, seed: int) -> tuple[torch.Tensor, torch.Tensor, Layout]:
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.randint(vocab, (rows, length + 1), generator=draw)
    segments = torch.rand(rows, length, generator=draw).lt(4 / length).long().cumsum(1) + 1 if packed else None
    return tokens[:, :-1], tokens[:, 1:].contiguous(), Layout(segments=segments)


def step(module, forward, data, cast: bool) -> tuple[float, dict[str, torch.Tensor]]:
    tokens, labels, here = data
    module.zero_grad()
    with torch.autocast("cpu", torch.bfloat16) if cast else nullcontext():
        loss = forward(tokens, labels, here)
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in module.named_parameters()}


def run(name: str, size: str, rows: int, length: int, cast: bool, packed: bool, head: bool, speed: bool, kernel) -> str:
    torch._dynamo.reset()
    counters.clear()
    module, vocab = make(name, size)
    kernels.use(module, kernel)

    def eager(tokens, labels, here):
        return module.nats(module(tokens, here)[0], labels) / labels.numel()

    inner = torch.compile(lambda tokens, here: module(tokens, here)[0], fullgraph=True)

    def body(tokens, labels, here):
        return module.nats(inner(tokens, here), labels) / labels.numel()

    fast = torch.compile(eager, fullgraph=True) if head else body
    data = [batch(vocab, rows, length, packed, seed) for seed in range(3)]
    began = time.perf_counter()
    try:
        step(module, fast, data[0], cast)
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        return f"FAILED {type(error).__name__}: {' | '.join(lines[:3])[:230]}"
    compiled = time.perf_counter() - began
    worst = loss_gap = 0.0
    for one in data:
        (loss, want), (other, got) = step(module, eager, one, cast), step(module, fast, one, cast)
        loss_gap = max(loss_gap, abs(loss - other))
        whole = sum(want[n].square().sum() for n in want).sqrt()  # a key bias has no gradient but noise
        worst = max(worst, *(((got[n] - want[n]).norm() / want[n].norm().clamp(min=1e-2 * whole)).item() for n in want))
    text = f"graphs {counters['stats']['unique_graphs']} in {compiled:3.0f} s, loss ±{loss_gap:.0e}, gradients ±{worst:.0e}"
    if speed:
        times: dict[str, list[float]] = {"eager": [], "compiled": []}
        for _ in range(7):
            for label, forward in (("eager", eager), ("compiled", fast)):
                began = time.thread_time()  # one thread's own time: the machine is shared
                step(module, forward, data[0], cast)
                times[label].append(1e3 * (time.thread_time() - began))
        a, b = (statistics.median(times[label]) for label in ("eager", "compiled"))
        text += f", eager {a:.0f} ms, compiled {b:.0f} ms ({a / b:.2f}x)"
    return text


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--family", choices=["llama", "gpt2"])
    arguments = parser.parse_args()
    speed = arguments.speed
    if speed:
        torch.set_num_threads(1)
    size, rows, length = ("small", 8, 256) if speed else ("debug", 3, 128)
    for name in (arguments.family,) if arguments.family else ("llama", "gpt2"):
        for cast in (True, False):
            for packed in (False, True):
                for kernel, head in ((None, False), (None, True), ("sdpa", False), ("matmul", False)):
                    if speed and (packed or kernel == "matmul" or (not cast and (head or kernel))):
                        continue  # each takes a minute
                    what = f"{name:5} {'bf16' if cast else 'fp32'} {'packed' if packed else 'plain ':6} {kernel or 'rule':6} {'with nats' if head else 'stack only'}"
                    print(what, "|", run(name, size, rows, length, cast, packed, head, speed, kernel), flush=True)


if __name__ == "__main__":
    main()
