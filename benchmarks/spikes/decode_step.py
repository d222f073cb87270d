"""One compiled decode step (embed, stack, logits, argmax) over the static cache, written in place: does it work?

    PYTHONPATH=src python benchmarks/spikes/decode_step.py [--shape 25m|100m] [--type bf16|fp32] [--threads 2] [--dynamic]

Printed here: fullgraph works. 300 tokens: 4 graphs with dynamic=False (64, 128, 256, 512), 2 with torch's default, which
makes the bucket a symbol; none per step. fp32: 301 of 301 tokens equal to the uncompiled ones; bf16 (random weights, x3):
the first 10 (25m) and 15 (100m). ms/token, two threads, other work going on (load about 2), eager -> compiled:
25m fp32 12.3 -> 9.5, bf16 8.9 -> 6.7; 100m fp32 38.7 -> 33.0, bf16 25.6 -> 18.5 (dynamic), 26.0 -> 19.5 (static).
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings

import torch
from torch import Tensor
from torch._dynamo.utils import counters

from weft.models.family import FAMILIES
from weft.nn import Cache, Decoder

warnings.filterwarnings("ignore")
SHAPES = {
    "debug": dict(vocab=131, context=1024, width=48, depth=2, heads=4, kv_heads=2, hidden=96),
    "25m": dict(vocab=8192, context=1024, width=512, depth=6, heads=8, kv_heads=4, hidden=1408, tied=True),
    "100m": dict(vocab=32000, context=1024, width=768, depth=12, heads=12, kv_heads=4, hidden=2048, tied=True),
}


def make(shape: str, dtype: torch.dtype) -> Decoder:
    family = FAMILIES.get("llama")
    config = family.config(**SHAPES[shape])
    torch.manual_seed(0)
    module = family.build(config)
    family.initialise(module, config)
    for p in module.parameters():  # larger weights: greedy decoding that does not fall into a loop at once
        if p.ndim == 2:
            p.data.mul_(3)
    return module.to(dtype).eval()


@torch.inference_mode()
def decode(module: Decoder, step, prompt: Tensor, tokens: int, dtype: torch.dtype) -> tuple[list[int], list[float]]:
    cache = module.cache(1, 1024, dtype=dtype)
    last = module.logits(module(prompt, None, cache)[0][:, -1:])[:, -1].argmax(-1, keepdim=True)
    ids, times = [int(last)], []
    for _ in range(tokens):
        began = time.perf_counter()
        if step.__name__ != "eager":
            cache.reserve(1)
        last = step(last, cache)
        ids.append(int(last))
        times.append(1e3 * (time.perf_counter() - began))
    return ids, times


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", default="debug", choices=SHAPES)
    parser.add_argument("--type", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dynamic", action="store_true", help="let torch turn the bucket into a symbol (its default)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dtype = torch.float32 if arguments.type == "fp32" else torch.bfloat16
    module = make(arguments.shape, dtype)
    prompt = torch.arange(7, 27)[None]

    def eager(last: Tensor, cache: Cache) -> Tensor:
        return module.logits(module(last, None, cache)[0])[:, -1].argmax(-1, keepdim=True)

    def body(last: Tensor, cache: Cache) -> Tensor:
        return module.logits(module(last, None, cache)[0])[:, -1].argmax(-1, keepdim=True)

    compiled = torch.compile(body, fullgraph=True, dynamic=None if arguments.dynamic else False)
    began = time.perf_counter()
    got, _ = decode(module, compiled, prompt, arguments.tokens, dtype)
    first, graphs = time.perf_counter() - began, counters["stats"]["unique_graphs"]
    want, _ = decode(module, eager, prompt, arguments.tokens, dtype)
    same = next((i for i, (a, b) in enumerate(zip(got, want, strict=True)) if a != b), len(want))
    print(
        f"{arguments.shape} {arguments.type}: {sum(p.numel() for p in module.parameters()) / 1e6:.0f}M parameters, "
        f"{graphs} graphs for {arguments.tokens} tokens ({first:.0f} s), first {same} of {len(want)} tokens equal, "
        f"{len(set(want))} different ones"
    )
    spent: dict[str, list[float]] = {"eager": [], "compiled": []}
    for _ in range(arguments.rounds):
        for name, step in (("eager", eager), ("compiled", compiled)):
            spent[name].append(statistics.median(decode(module, step, prompt, arguments.tokens, dtype)[1]))
    a, b = (statistics.median(spent[name]) for name in spent)
    print(
        f"  ms/token: eager {a:.2f} {[round(x, 2) for x in spent['eager']]}, compiled {b:.2f} "
        f"{[round(x, 2) for x in spent['compiled']]}: {a / b:.2f}x; new graphs {counters['stats']['unique_graphs'] - graphs}; "
        f"load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
