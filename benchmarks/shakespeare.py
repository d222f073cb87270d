"""tinyshakespeare by characters: how low, how soon, beside nanoGPT's recipe for a CPU.

    python benchmarks/shakespeare.py --nanogpt PATH/TO/nanoGPT --data FOLDER [--seeds 0 1 2] [--only weft-fast …]

FOLDER holds train.txt.gz and dev.txt.gz, which all contestants read. Each run is a process of its own, seed by seed, in
turn. The loss is that over the non-overlapping blocks of dev.txt in the contestant's own context, every character but
the first predicted once; the seconds are those of training steps alone: evaluation and start-up (building, compiling,
measuring kernels) are apart, the latter reported.

nanogpt     its recipe: 4 layers of width 128, context 64, batch 12, 2000 iterations, AdamW, fp32, not compiled
weft-fast   the fewest seconds to nanoGPT's loss
weft-same   the lowest loss in nanoGPT's seconds
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

MODELS = {
    "weft-fast": {"width": 128, "heads": 4, "hidden": 384, "depth": 3, "context": 64},
    "weft-same": {"width": 192, "heads": 3, "hidden": 512, "depth": 4, "context": 128},
}
RUNS = {
    "weft-fast": {"steps": 275, "batch": 16, "rate": 1.6e-2, "warmup": 10, "weight_decay": 0.0},
    "weft-same": {"steps": 315, "batch": 32, "rate": 8e-3},
}
CONTESTANTS = ("nanogpt", *RUNS)


def texts(data: str) -> tuple[str, str]:
    train, dev = (gzip.decompress((Path(data) / f"{side}.txt.gz").read_bytes()).decode() for side in ("train", "dev"))
    return train, dev


def nanogpt(path: str, data: str, seed: int) -> dict[str, float]:
    import torch

    sys.path.insert(0, path)
    from model import GPT, GPTConfig  # type: ignore[import-not-found]  # the checkout's own file

    began = time.perf_counter()
    train, dev = texts(data)
    known = {character: number for number, character in enumerate(sorted(set(train)))}
    ids, held = (torch.tensor([known[character] for character in text]) for text in (train, dev))
    torch.manual_seed(1337 + seed)
    model = GPT(GPTConfig(64, len(known), n_layer=4, n_head=4, n_embd=128, dropout=0.0, bias=False))
    optimiser = model.configure_optimizers(0.1, 1e-3, (0.9, 0.99), "cpu")
    ready, seconds = time.perf_counter() - began, 0.0
    for step in range(2000):
        start = time.perf_counter()
        falling = 1e-4 + 4.5e-4 * (1 + math.cos(math.pi * (step - 100) / 1900))
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * (step + 1) / 101 if step < 100 else falling
        at = torch.randint(len(ids) - 64, (12,))
        rows = torch.stack([ids[i : i + 65] for i in at])
        _, loss = model(rows[:, :-1].contiguous(), rows[:, 1:].contiguous())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        seconds += time.perf_counter() - start
    model.eval()
    total = 0.0
    with torch.no_grad():
        for at in range(0, len(held) - 1, 64):
            row = held[at : at + 65][None]
            total += model(row[:, :-1].contiguous(), row[:, 1:].contiguous())[1].item() * (row.shape[1] - 1)
    return {"loss": total / (len(held) - 1), "seconds": seconds, "start": ready}


def weft(name: str, data: str, seed: int) -> dict[str, float]:
    import numpy as np
    import torch

    from weft.data import Blocks, Characters
    from weft.evaluate import likelihood
    from weft.models import Blueprint
    from weft.objectives import NextToken
    from weft.training import measure
    from weft.training.loop import train as run
    from weft.training.settings import TrainSettings

    began = time.perf_counter()
    shape, batch, context = MODELS[name], RUNS[name]["batch"], MODELS[name]["context"]
    train, dev = texts(data)
    tokenizer = Characters.train([train], 0)
    ids, held = (np.asarray(tokenizer.encode(text), np.int32) for text in (train, dev))
    module = Blueprint.of("llama", "small", vocab=tokenizer.vocab, tied=True, **shape).build(seed=seed)
    settings = TrainSettings(
        **RUNS[name], optimiser="muon", schedule="linear", floor=0.0, seed=seed, compile="on", checkpoint_every=0
    )
    decisions = measure.choose(module, batch, context, dtype=torch.bfloat16)
    evaluation = {}

    def evaluate(trained: torch.nn.Module) -> dict[str, float]:
        start = time.perf_counter()
        figures = likelihood(trained, Blocks(held, context, shift=False), NextToken(), bytes=len(dev)).figures()
        evaluation["seconds"] = time.perf_counter() - start
        return figures

    result = run(module, Blocks(ids, context, seed=seed), NextToken(), settings, evaluate=evaluate, decisions=decisions)
    whole = time.perf_counter() - began
    loss, seconds = result.figures["nats_per_token"], result.progress.seconds
    return {"loss": loss or math.nan, "seconds": seconds, "start": whole - seconds - evaluation["seconds"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanogpt", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        seed = given.seeds[0]
        found = (
            nanogpt(given.nanogpt, given.data, seed) if given.one == "nanogpt" else weft(given.one, given.data, seed)
        )
        print(json.dumps(found))
        return
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in given.only}
    for seed in given.seeds:
        for name, mine in rows.items():
            words = [sys.executable, __file__, "--nanogpt", given.nanogpt, "--data", given.data, "--one", name]
            done = subprocess.run([*words, "--seeds", str(seed)], stdout=subprocess.PIPE, text=True, check=True)
            mine.append(json.loads(done.stdout.splitlines()[-1]))
            print(f"seed {seed}  {name:10}", {key: round(value, 4) for key, value in mine[-1].items()}, flush=True)
    for name, mine in rows.items():
        middle = {key: statistics.median(run[key] for run in mine) for key in mine[0]}
        print(f"median  {name:10}", {key: round(value, 4) for key, value in middle.items()})


if __name__ == "__main__":
    main()
