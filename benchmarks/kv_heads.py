"""What fewer key/value heads cost: held-out loss before averaging them, right after, and after a little more training.

    OMP_NUM_THREADS=1 python benchmarks/kv_heads.py [--data FILE …] [--steps 800] [--share 0.05] [--out TABLE.md]

A LLaMA of 4 layers, width 128 and 8 heads learns the bytes of Python's standard library (or --data) for 800 steps, two
minutes on one thread, and is converted to 4, 2 and 1 key/value heads, each the mean of a group (Ainslie et al. 2023,
§2.1), as `weft convert --kv-heads` does it. Each model then learns on for 5% of the steps on the same rows at a lower
rate, and so does the unconverted one, beside which the others have to be seen. Losses are nats per byte of held-out
documents, the first 100,000 of them; cache: bytes of keys and values of a token in fp32. Four minutes in all.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from weft import Blueprint, Model, TrainSettings, describe, load, save, train
from weft.batch import Dataset
from weft.data import Blocks, DataSettings, Prepared, prepare
from weft.evaluate import likelihood
from weft.hub.convert import convert
from weft.objectives import NextToken

HEADS, CONTEXT, TOKENS = 8, 256, 100_000
FIRST = TrainSettings(batch=8, optimiser="muon", rate=1e-2, schedule="linear", floor=0.1, precision="fp32", threads=1)
FURTHER = replace(FIRST, rate=3e-3, floor=0.0, seed=1)


def held_out(prepared: Prepared) -> Dataset:
    """The first of the held-out rows."""
    assert isinstance(prepared.held_out, Blocks)
    return Blocks(prepared.held_out.tokens[: TOKENS + 1], CONTEXT)


def loss(module: torch.nn.Module, prepared: Prepared) -> float:
    """Nats per held-out byte."""
    with torch.inference_mode():
        return likelihood(module.eval(), held_out(prepared), NextToken(), bytes=None).nats_per_token


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", default=[])
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    source = "text" if options.data else "python_stdlib"
    settings = DataSettings(source=source, paths=tuple(options.data), tokenizer="bytes", vocab=0)
    prepared = prepare(settings, CONTEXT, pairs=False, say=print)
    sizes = dict(context=CONTEXT, width=128, depth=4, heads=HEADS, hidden=344, tied=True)
    blueprint = Blueprint.of("llama", **sizes, vocab=prepared.tokenizer.vocab)
    model = Model(blueprint.build(seed=0), blueprint, prepared.tokenizer)
    train(model.module, prepared.train, NextToken(), replace(FIRST, steps=options.steps))
    steps = math.ceil(options.share * options.steps)
    text = (
        f"{describe(model).parameters:,} parameters, {options.steps} steps of 8 x {CONTEXT} tokens, then {steps} more"
    )
    print(text)
    lines = [
        text,
        "",
        "| kv heads | cache, a token | before | converted | after further training |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder) / str(HEADS))
        before = loss(model.module, prepared)
        for count in (HEADS, 4, 2, 1):
            path = Path(folder) / str(count)
            if count != HEADS:
                convert(Path(folder) / str(HEADS), path, kv_heads=count)
            one = load(path)
            converted = before if count == HEADS else loss(one.module, prepared)
            train(one.module.train(), prepared.train, NextToken(), replace(FURTHER, steps=steps))
            cells = (
                count,
                describe(one).cache[0].token,
                *(f"{x:.3f}" for x in (before, converted, loss(one.module, prepared))),
            )
            lines.append(f"| {' | '.join(map(str, cells))} |")
            print(lines[-1])
    prepared.close()
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
