"""Training speed beside nanoGPT: a full step (forward, backward, clip, optimiser), interleaved, medians.

    python benchmarks/train_speed.py --nanogpt PATH/TO/nanoGPT [--rounds 5] [--vocab 65] [--only weft transformers]

Every contestant runs in a process of its own, one after the other, round by round, so that a drift of the machine's
speed falls on all of them. A round is 3 warm-up steps and 7 counted ones; its figure is the median. Memory is the
process's peak, Python and torch (about 350 MB) and whatever compiling took included. The same shape for all: 6 layers
of width 384, 6 heads, context 256, batch 16, GELU, no bias, no dropout, tied head, AdamW.

nanogpt               its default CPU run: fp32, no compilation, AdamW unfused
nanogpt-best-flash    bf16 autocast, torch.compile, fused AdamW, its `flash` on
nanogpt-best-matmul   the same, its `flash` off; the better of the two is "its best"
weft                  bf16 probed, kernels measured, compiled, through `weft.train` with its log and folder
weft-eager            the same, not compiled
transformers          GPT-2 of the transformers library, bf16 autocast, SDPA, fused AdamW
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

ROWS, CONTEXT, WIDTH, DEPTH, HEADS = 16, 256, 384, 6, 6
WARM, TIMED = 3, 7
CONTESTANTS = ("nanogpt", "nanogpt-best-flash", "nanogpt-best-matmul", "weft", "weft-eager", "transformers")


def nanogpt(path: str, vocab: int, *, best: bool, flash: bool) -> Callable[[], None]:
    import torch

    sys.path.insert(0, path)
    from model import GPT, GPTConfig  # type: ignore[import-not-found]  # the checkout's own file

    config = GPTConfig(
        block_size=CONTEXT, vocab_size=vocab, n_layer=DEPTH, n_head=HEADS, n_embd=WIDTH, dropout=0.0, bias=False
    )
    model = GPT(config)
    for block in model.transformer.h:
        block.attn.flash = flash
        if not flash and "bias" not in dict(block.attn.named_buffers()):
            mask = torch.tril(torch.ones(CONTEXT, CONTEXT)).view(1, 1, CONTEXT, CONTEXT)
            block.attn.register_buffer("bias", mask)
    if best:
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
        run = torch.compile(model)
    else:
        optimiser, run = model.configure_optimizers(0.1, 1e-3, (0.9, 0.95), "cpu"), model
    tokens, labels = rows(vocab)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=best):
            _, loss = run(tokens, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def transformers(vocab: int) -> Callable[[], None]:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=vocab,
        n_positions=CONTEXT,
        n_embd=WIDTH,
        n_layer=DEPTH,
        n_head=HEADS,
        activation_function="gelu",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    tokens, labels = rows(vocab)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(tokens).logits
            loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def weft(vocab: int, compile: Literal["on", "off"]) -> list[float]:
    """Seconds of each step, through `weft.train` as anyone calls it: rows drawn, logged, watched, into a folder."""
    import torch

    from weft.batch import Batch, Place
    from weft.data import Shuffled
    from weft.models import Blueprint
    from weft.objectives import NextToken
    from weft.training import measure
    from weft.training.loop import train
    from weft.training.settings import TrainSettings
    from weft.training.watch import Record, Watcher

    blueprint = Blueprint.of(
        "gpt2", vocab=vocab, context=CONTEXT, width=WIDTH, depth=DEPTH, heads=HEADS, act="gelu", bias=False
    )
    module, (tokens, labels) = blueprint.build(), rows(vocab)
    decisions = measure.choose(module, ROWS, CONTEXT, dtype=torch.bfloat16)

    class Same(Shuffled):
        """The same rows at every step, as for the others."""

        def __len__(self) -> int:
            return ROWS

        def batch(self, places: Sequence[Place]) -> Batch:
            return Batch(tokens, labels)

    class Clock(Watcher):
        def __init__(self) -> None:
            self.ends: list[float] = []

        def step(self, record: Record) -> None:
            self.ends.append(time.perf_counter())

    clock, settings = Clock(), TrainSettings(steps=WARM + TIMED + 1, batch=ROWS, compile=compile)
    with tempfile.TemporaryDirectory() as folder:
        train(module, Same(), NextToken(), settings, folder, watch=clock, decisions=decisions)
    return [stop - start for start, stop in pairwise(clock.ends)][WARM:]


def rows(vocab: int):
    import torch

    torch.manual_seed(0)
    return torch.randint(vocab, (ROWS, CONTEXT)), torch.randint(vocab, (ROWS, CONTEXT))


def one(name: str, path: str | None, vocab: int) -> dict[str, float]:
    """Tokens per second and the peak of memory, in MB, of one contestant, in this process."""
    if name.startswith("weft"):
        times = weft(vocab, "off" if name == "weft-eager" else "on")
    else:
        if name == "transformers":
            step = transformers(vocab)
        else:
            assert path is not None
            step = nanogpt(path, vocab, best=name != "nanogpt", flash=name != "nanogpt-best-matmul")
        times = []
        for _ in range(WARM + TIMED):
            began = time.perf_counter()
            step()
            times.append(time.perf_counter() - began)
        times = times[WARM:]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"speed": ROWS * CONTEXT / statistics.median(times), "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanogpt", type=Path, help="a nanoGPT checkout")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--vocab", type=int, default=65)
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=CONTESTANTS, help="weft among them")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    path = None if given.nanogpt is None else str(given.nanogpt)
    if given.one:
        print(json.dumps(one(given.one, path, given.vocab)))
        return
    names = list(given.only)
    if "weft" not in names:
        parser.error("--only must name weft: all others are compared with it")
    if path is None and (lacking := [name for name in names if name.startswith("nanogpt")]):
        others = [name for name in names if name not in lacking]
        parser.error(f"{', '.join(lacking)} need a checkout: give --nanogpt PATH, or --only {' '.join(others)}")
    figures: dict[str, list[float]] = {name: [] for name in names}
    memory: dict[str, float] = {}
    for turn in range(given.rounds):
        for name in names:
            command = [sys.executable, __file__, "--one", name, "--vocab", str(given.vocab)]
            command += ["--nanogpt", path] if path else []
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            figures[name].append(found["speed"])
            memory[name] = found["memory"]
            said = f"{found['speed']:8,.0f} tokens/s  {found['memory']:6,.0f} MB"
            print(f"round {turn + 1}  {name:<20} {said}", flush=True)
    for name in names:
        median = statistics.median(figures[name])
        ratios = [a / b for a, b in zip(figures["weft"], figures[name], strict=True)]
        space = memory["weft"] / memory[name]
        print(f"{name:<20} {median:8,.0f} tokens/s   weft / this = {statistics.median(ratios):.2f}, memory {space:.2f}")


if __name__ == "__main__":
    main()
