"""What two processes do for test_distributed: the scenarios one after the other, and what each came to, as JSON."""

import errno
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from counting import LENGTH, VOCAB, WIDTH, Next, Samples, at
from torch import Tensor, nn

from weft.batch import Batch, Place
from weft.data import Blocks
from weft.evaluate import likelihood
from weft.files import write_json
from weft.models import Blueprint
from weft.objectives import NextToken
from weft.training import checkpoints
from weft.training.checkpoints import SaveFailed, load_module, whole_tensors
from weft.training.log import Log
from weft.training.loop import Result, train
from weft.training.settings import TrainSettings
from weft.training.world import join, leave

PARALLEL, OPTIMISERS = ("ddp", "fsdp"), ("adamw", "muon")
BASE = TrainSettings(
    steps=8, batch=8, micro_batches=2, rate=1e-2, warmup=2, threads=1, precision="fp32", average=0.9, seed=3,
    checkpoint_every=4, evaluate_every=3, keep=4,
)  # fmt: skip
LLAMA = replace(BASE, steps=4, micro_batches=1, evaluate_every=2, average=0.0, checkpoint_every=2)


class Layer(nn.Module):
    def __init__(self, dropout: float):
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(3 * WIDTH, WIDTH)
        self.norm, self.dropout = nn.LayerNorm(WIDTH), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.second(self.dropout(torch.relu(self.first(x)))))


class Net(nn.Module):
    """Nothing of weft: layers, a tied head, a parameter that is never used, a bias with fewer numbers than there are
    processes, and a buffer that depends on the data (and matters where there is dropout)."""

    def __init__(self, dropout: float = 0.0, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.embed = nn.Embedding(VOCAB, WIDTH)
        self.layers = nn.ModuleList([Layer(dropout) for _ in range(2)])
        self.gate = nn.Linear(WIDTH, 1)
        self.head = nn.Linear(WIDTH, VOCAB, bias=False)
        nn.init.normal_(self.embed.weight, std=0.1)
        self.head.weight = self.embed.weight
        self.unused = nn.Parameter(torch.randn(3, 4))
        self.register_buffer("seen", torch.zeros(()))
        self.minds = dropout > 0

    def forward(self, tokens: Tensor) -> Tensor:
        if self.training:
            self.seen += tokens.float().mean()  # pyright: ignore[reportOperatorIssue, reportArgumentType]
        x = self.embed(tokens) * (1 + 0.01 * self.seen * self.minds)
        for layer in self.layers:
            x = layer(x)
        return self.head(x) * torch.sigmoid(self.gate(x))


class Noisy(Samples):
    """Rows shifted by a number from torch's default generator; the numbers are noted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.noise: list[int] = []

    def batch(self, places: Sequence[Place]) -> Batch:
        rows = super().batch(places)
        self.noise.append(int(torch.randint(VOCAB * 1000, ())))
        return replace(rows, tokens=(rows.tokens + self.noise[-1]) % VOCAB)


def held_out(module: nn.Module) -> dict[str, float]:
    """The loss on rows of its own."""
    assert not module.training and not torch.is_grad_enabled()
    tokens = (torch.arange(2 * LENGTH) % VOCAB).reshape(2, LENGTH)
    logits = module(tokens)
    return {"loss": nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).item()}


def go(
    out: Path | None,
    s: TrainSettings,
    data: Samples | None = None,
    *,
    dropout: float = 0.0,
    seed: int = 0,
    module: nn.Module | None = None,
    objective: Next | None = None,
    resume: bool = False,
) -> Result:
    """A run of a Net of this dropout, its first weights of this seed, or of `module`."""
    module, data = module or Net(dropout, seed), data or Samples()
    return train(module, data, objective or Next(), s, out, evaluate=held_out, resume=resume)


def cut(run: Path, copy: Path) -> Path:
    """A copy of a run of 8 steps as it would be had it been killed after step 4."""
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "checkpoints" / "step-00000008")
    return copy


def blocks(tokens: int, context: int, *, shift: bool) -> Blocks:
    return Blocks(np.random.default_rng(0).integers(0, 131, tokens), context, shift=shift)


def llama() -> nn.Module:
    return Blueprint.of("llama", "debug").build(seed=1)


def language_model(out: Path, s: TrainSettings, share: tuple[int, int] = (0, 1), total: Any = list) -> dict[str, Any]:
    """weft's own parts: a run with evaluation over rows that divide evenly neither by batches nor by processes."""
    module, valid = llama(), blocks(16 * 9 + 5, 16, shift=False)

    def evaluate(trained: nn.Module) -> dict[str, float]:
        found = likelihood(trained, valid, NextToken(), bytes=1000, rows=4, share=share, total=total)
        return {"nats": found.nats, "tokens": found.tokens}

    result = train(module, blocks(999, 16, shift=True), NextToken(), s, out, evaluate=evaluate)
    plain = llama()
    load_module(plain, whole_tensors(module), "the finished weights")
    own = likelihood(plain.eval(), valid, NextToken(), bytes=1000, rows=3)
    return {"figures": result.figures, "own": own.nats, "checkpoint": str(result.checkpoint)}


class Scenarios:
    """All of them, on one process of two; `folder` holds what the test has prepared, and receives all else."""

    def __init__(self, folder: Path):
        self.folder, self.world, self.said = folder, join(), dict[str, Any]()

    def fails(self, name: str, task: Callable[[], object]) -> None:
        """Note the error that a scenario must end with."""
        try:
            task()
            self.said[name] = "nothing failed"
        except Exception as error:
            self.said[name] = f"{type(error).__name__}: {error}"

    def on(self, rank: int, act: Callable[[], None]) -> Callable[[], None]:
        """`act` on one process, nothing on the other."""
        return act if self.world.rank == rank else lambda: None

    def same_as_one(self, parallel: str, optimiser: str) -> None:
        """T2, T6: no dropout. From the beginning, and from one process's checkpoint."""
        s, name = replace(BASE, parallel=parallel, optimiser=optimiser), f"{parallel}-{optimiser}"
        data = Samples()
        result = go(self.folder / f"{name}-even", s, data, seed=self.world.rank if parallel == "fsdp" else 0)
        self.said[f"{name}-drawn"] = data.drawn[: 2 * BASE.steps]
        self.said[f"{name}-result"] = [result.figures, result.notices, str(result.checkpoint)]
        go(self.folder / f"{name}-from-one", s, seed=1, resume=True)

    def same_bits(self, parallel: str, optimiser: str) -> None:
        """T1: dropout; one of the two is asked to stop, in the middle of a step. T5: the resumed one saves in front."""
        s, name = replace(BASE, parallel=parallel, optimiser=optimiser), f"{parallel}-{optimiser}"
        go(self.folder / f"{name}-whole", s, dropout=0.2)
        ask = self.on(1, lambda: os.kill(os.getpid(), signal.SIGINT))
        stopped = go(self.folder / f"{name}-stopped", s, Samples(before=at(11, ask)), dropout=0.2)
        front = replace(s, background=False)
        resumed = go(self.folder / f"{name}-stopped", front, dropout=0.2, seed=1, resume=True)
        self.said[f"{name}-stopped"] = [stopped.interrupted, stopped.progress.step, resumed.notices]

    def noise(self, parallel: str) -> None:
        """T1, T2: a data set that draws from torch's generator; stopped, resumed, and resumed by two from one's."""
        s, folder, data = replace(BASE, parallel=parallel), self.folder, Noisy()
        go(folder / f"{parallel}-noise-whole", s, data)
        ask = self.on(1, lambda: os.kill(os.getpid(), signal.SIGINT))
        go(folder / f"{parallel}-noise-stopped", s, Noisy(before=at(11, ask)))
        go(folder / f"{parallel}-noise-stopped", s, Noisy(), seed=1, resume=True)
        alone = Noisy()
        result = go(folder / f"{parallel}-noise-from-one", s, alone, seed=1, resume=True)
        self.said[f"{parallel}-noise"] = [data.noise, alone.noise, result.notices]

    def other_way(self, before: str, after: str) -> None:
        """A checkpoint of one kind, resumed as the other."""
        out = self.folder / f"{before}-to-{after}"
        self.world.asked(lambda: cut(self.folder / f"{before}-adamw-even", out))
        go(out, replace(BASE, parallel=after), seed=1, resume=True)

    def without_labels(self, parallel: str) -> None:
        """T7: some micro-batches, and some processes, have no label that counts."""
        go(self.folder / f"{parallel}-bare", replace(BASE, parallel=parallel), Samples(lambda index: index % 3 != 0))
        empty = go(None, replace(BASE, parallel=parallel, steps=1, warmup=0), Samples(lambda index: True))
        self.said[f"{parallel}-empty"] = [empty.progress.loss, empty.notices]

    def failures(self, parallel: str) -> None:
        """What goes wrong on one process is said by both, and neither waits for ever."""
        s, out = replace(BASE, parallel=parallel, checkpoint_every=2), self.folder / f"{parallel}-failed"
        calls = iter(range(1000))

        def spoil(total: Tensor) -> Tensor:
            return total * float("nan") if self.world.rank == 1 and next(calls) == 7 else total

        self.fails(f"{parallel}-nan", lambda: go(out, s, objective=Next(spoil)))  # in step 4, of 2 micro-batches each

        def crash() -> None:
            raise RuntimeError("the machine went away")

        data = Samples(before=at(3, self.on(1, crash)))
        self.fails(f"{parallel}-read", lambda: go(None, s, data))

        module = Net()

        def infinite() -> None:
            tensor = dict(module.named_parameters())["unused"].detach()
            (tensor.to_local() if parallel == "fsdp" else tensor).fill_(float("inf"))  # pyright: ignore

        data = Samples(before=at(3, self.on(1, infinite)))
        self.fails(f"{parallel}-infinite", lambda: go(self.folder / f"{parallel}-infinite", s, data, module=module))

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def unlogged(log: Log, line: dict[str, Any]) -> None:
            if line["step"] >= 3 and log.file is not None:  # the main process alone has one
                raise SaveFailed("the log cannot be written")
            logged(log, line)

        logged, Log.write = Log.write, unlogged
        self.fails(f"{parallel}-unlogged", lambda: go(self.folder / f"{parallel}-unlogged", s))
        Log.write = logged

        once = iter([{}] * 99)
        self.fails(f"{parallel}-iterable", lambda: train(Net(), once, Next(), s))

        written, checkpoints.write_bytes = checkpoints.write_bytes, full  # the main process alone writes the state
        self.fails(f"{parallel}-full", lambda: go(self.folder / f"{parallel}-full", s))
        checkpoints.write_bytes = written

    def damaged(self, parallel: str) -> None:
        """T3: the newest checkpoint is damaged; the last good one is taken by both."""
        out = self.folder / f"{parallel}-damaged"

        def damage() -> None:
            shutil.copytree(self.folder / f"{parallel}-adamw-even", out)
            file = max((out / "checkpoints" / "step-00000008").rglob("*.safetensors"))
            file.write_bytes(file.read_bytes()[:-1] + b"?")

        self.world.asked(damage)
        self.said[f"{parallel}-damaged"] = go(out, replace(BASE, parallel=parallel), seed=1, resume=True).notices
        self.world.asked(lambda: [(path / "state.json").unlink() for path in (out / "checkpoints").glob("step-*")])
        again = replace(BASE, parallel=parallel)
        self.fails(f"{parallel}-all-damaged", lambda: go(out, again, resume=True))

    def finished(self, parallel: str) -> None:
        """Lengths in minutes, means of checkpoints, and weft's own parts."""
        minutes = replace(BASE, parallel=parallel, steps=0, minutes=1e-3, warmup=0)
        result = go(self.folder / f"{parallel}-minutes", minutes)
        self.said[f"{parallel}-minutes"] = result.steps
        last = replace(BASE, parallel=parallel, average=0.0, last=2)
        self.said[f"{parallel}-last"] = go(self.folder / f"{parallel}-last", last).figures
        share = (self.world.rank, self.world.size)
        s = replace(LLAMA, parallel=parallel, recompute=parallel == "fsdp")
        self.said[f"{parallel}-llama"] = language_model(self.folder / f"{parallel}-llama", s, share, self.world.sum)

    def all(self) -> None:
        for parallel in PARALLEL:
            for optimiser in OPTIMISERS:
                self.same_as_one(parallel, optimiser)
                self.same_bits(parallel, optimiser)
            self.without_labels(parallel)
            self.noise(parallel)
            self.failures(parallel)
            self.damaged(parallel)
            self.finished(parallel)
        self.other_way("ddp", "fsdp")
        self.other_way("fsdp", "ddp")


def killed(folder: Path) -> None:
    """One process of two is gone in the middle of a step: the other ends, however it ends."""
    world = join()

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    act = die if world.rank == 1 else lambda: None
    go(folder / "killed", replace(BASE, parallel="fsdp", checkpoint_every=1), Samples(before=at(11, act)), dropout=0.2)


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, where = sys.argv[1], Path(sys.argv[2])
    if what == "killed":
        killed(where)
    else:
        scenarios = Scenarios(where)
        scenarios.all()
        write_json(where / f"said-{scenarios.world.rank}.json", json.loads(json.dumps(scenarios.said)))
        leave()
