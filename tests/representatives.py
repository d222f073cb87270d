"""Three runs that stand for all: a stranger's module with a list and a loss of its own, a decoder, an encoder–decoder.

They are trained here, or in a process that can be killed at any moment (`Child`), and compared to the last bit.
"""

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # what the first step of an optimiser imports: here, so that no child has to
from torch import Tensor, nn

from weft.batch import IGNORED, Batch, Place
from weft.data import Blocks, Bytes, Pairs
from weft.models import FAMILIES, Blueprint, reading
from weft.objectives import MaskedTokens, NextToken, Translate
from weft.objectives.masked import MaskedRows
from weft.training import checkpoints
from weft.training.log import read
from weft.training.loop import Result, train
from weft.training.settings import TrainSettings
from weft.training.strangers import as_objective
from weft.training.watch import MEASURED, Watcher

END, CONTEXT, SAMPLES = 0, 16, 37  # 37 samples divide by nothing


class Stranger(nn.Module):
    """Knows nothing of weft: dropout, a norm, a counting buffer, and a parameter that is never used."""

    def __init__(self, seed: int = 0, dropout: float = 0.1):
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(2))
        self.norm, self.dropout, self.out = nn.LayerNorm(6), nn.Dropout(dropout), nn.Linear(6, 2)
        self.unused = nn.Parameter(torch.randn(3, 4))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen += 1  # pyright: ignore[reportOperatorIssue, reportArgumentType]
        for layer in self.layers:
            x = x + self.dropout(torch.relu(layer(x)))
        return self.out(self.norm(x))


def rows(count: int = SAMPLES) -> list[dict[str, Any]]:
    """What a stranger has: a list of dicts, each with its own number."""
    noise = torch.Generator().manual_seed(0)
    xs = torch.randn(count, 6, generator=noise)
    return [{"number": number, "x": x, "y": torch.stack([x.sum(), x[0] * x[1]])} for number, x in enumerate(xs)]


def squared_error(module: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """A stranger's loss, one a row: [B]."""
    return (module(batch["x"]) - batch["y"]).square().mean(-1)


class Ragged(Blocks):
    """Rows of which the first places have no label, more in some than in others; `bare` ones have none at all."""

    bare: Callable[[int], bool] = staticmethod(lambda number: False)

    def batch(self, places: Sequence[Place]) -> Batch:
        batch = super().batch(places)
        assert batch.labels is not None
        for row, number in enumerate(batch.samples):
            batch.labels[row, : CONTEXT if self.bare(number) else number % CONTEXT] = IGNORED
        return batch


def unlabelled(batch: Batch, bare: Callable[[int], bool]) -> Batch:
    """The batch, of whose rows those that are `bare` have lost their labels."""
    assert batch.labels is not None
    for row, number in enumerate(batch.samples):
        if bare(number):
            batch.labels[row] = IGNORED
    return batch


class Bare(Pairs):
    """Pairs of which `bare` ones have no label."""

    bare: Callable[[int], bool] = staticmethod(lambda number: False)

    def batch(self, places: Sequence[Place]) -> Batch:
        return unlabelled(super().batch(places), self.bare)


class BareMasked(MaskedRows):
    """Rows with tokens hidden, of which `bare` ones are asked for nothing."""

    bare: Callable[[int], bool] = staticmethod(lambda number: False)

    def batch(self, places: Sequence[Place]) -> Batch:
        return unlabelled(super().batch(places), self.bare)


@dataclass(frozen=True)
class Case:
    """One representative: what is built, what it reads, what it minimises."""

    module: Callable[[int, float], nn.Module]  # of (seed, dropout)
    data: Callable[[], Any]
    objective: Callable[[], Any]


def decoder_rows() -> Ragged:
    """Documents of a pattern, each ended by END."""
    tokens = np.asarray([END, *(n * n % 11 * (n % 7 > 0) for n in range((SAMPLES + 1) * CONTEXT))])
    return Ragged(tokens, CONTEXT, isolate=True, end=END)


def pairs() -> Bare:
    """Words of several lengths, and the same backwards."""
    words = ["weft"[n % 4 :] * (n % 3 + 1) for n in range(SAMPLES)]
    return Bare([(word, word[::-1]) for word in words], Bytes(), CONTEXT)


def masked_rows() -> BareMasked:
    """The decoder's documents, with tokens hidden: of more than the usual, since the rows are short."""
    return BareMasked(decoder_rows(), MaskedTokens(0.4), Alphabet(), seed=3)


class Alphabet:
    """As much of a tokenizer of the decoder's documents as is needed to hide their tokens: it has no id for that."""

    vocab, begin, end = 11, END, END


DATA: dict[str, tuple[Callable[[], Any], Callable[..., Any], int]] = {  # what each objective reads, and of how many ids
    "next_token": (decoder_rows, NextToken, Alphabet.vocab),
    "masked": (masked_rows, MaskedTokens, Alphabet.vocab + 1),
    "translate": (pairs, Translate, Bytes().vocab),
}


def family_case(family: str) -> Case:
    """A family at its debug size, on what its objective reads."""
    data, kind, vocab = DATA[FAMILIES.get(family).objective]

    def objective() -> Any:
        return kind(**FAMILIES.get(family).terms(Blueprint.of(family, "debug").config))

    def build(seed: int, dropout: float) -> nn.Module:
        return Blueprint.of(family, "debug", vocab=vocab, context=CONTEXT, dropout=dropout).build(seed=seed)

    return Case(build, data, objective)


CASES = {
    "stranger": Case(Stranger, rows, lambda: squared_error),
    "llama": family_case("llama"),
    "transformer": family_case("transformer"),
}
EVERY = CASES | {name: family_case(name) for name in reading("text")}  # for what takes no process of its own
BASE = TrainSettings(
    steps=10,
    batch=4,
    micro_batches=2,
    rate=1e-2,
    warmup=2,
    average=0.9,
    precision="fp32",
    threads=1,
    checkpoint_every=1,
    evaluate_every=3,
    seed=5,
)


def score(module: nn.Module) -> dict[str, float]:
    """An evaluator that draws from the default generator, as careless ones do."""
    assert not module.training and not torch.is_grad_enabled()
    size = sum(float(parameter.square().sum()) for parameter in module.parameters())
    return {"size": size + 1e-3 * float(torch.rand(())), "nothing": float("nan")}


def go(
    case: Case,
    out: Path | None,
    settings: TrainSettings = BASE,
    *,
    module: nn.Module | None = None,
    seed: int = 0,
    resume: bool = False,
    data: Any = None,
    objective: Any = None,
    watch: Watcher | None = None,
) -> Result:
    """Train one representative; `seed` is that of its first weights."""
    module = case.module(seed, 0.1) if module is None else module
    data = case.data() if data is None else data
    objective = objective or case.objective()
    return train(module, data, objective, settings, out, evaluate=score, resume=resume, watch=watch or Watcher())


def traces(out: Path) -> dict[str, object]:
    """All of a run that must be equal bit for bit: files of tensors, progress, generator, decisions, and the log."""
    found = checkpoints.latest(out)
    assert found is not None
    files: dict[str, object] = {path.name: path.read_bytes() for path in found.path.glob("*.safetensors")}
    assert len(files) == 3  # weights, optimiser, averages
    state = {name: value for name, value in found.state.items() if name not in ("digests", "digest", "settings")}
    state["progress"] = {name: value for name, value in state["progress"].items() if name != "seconds"}
    lines = [{name: value for name, value in line.items() if name not in MEASURED} for line in read(out / "log.jsonl")]
    return {**files, "state": json.dumps(state, sort_keys=True), "log": lines}


class Uncoupled:
    """An objective without the terms that it says couple the samples of a batch."""

    def __init__(self, objective: Any):
        self.objective = as_objective(objective)
        self.left_out = set(self.objective.couples) if isinstance(objective, NextToken | Translate) else set()

    def counts(self, batch: Any) -> Mapping[str, int]:
        return {name: count for name, count in self.objective.counts(batch).items() if name not in self.left_out}

    def losses(self, module: nn.Module, batch: Any) -> Mapping[str, Any]:
        losses = self.objective.losses(module, batch)
        return {name: loss for name, loss in losses.items() if name not in self.left_out}


class Fatal:
    """An objective whose n-th forward pass kills the process."""

    def __init__(self, objective: Any, left: int):
        self.objective, self.left = objective, left

    def counts(self, batch: Any) -> Mapping[str, int]:
        return self.objective.counts(batch)

    def losses(self, module: nn.Module, batch: Any) -> Mapping[str, Any]:
        self.left -= 1
        if self.left == 0:
            die()
        return self.objective.losses(module, batch)


def die() -> None:
    """kill -9, by oneself."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_change(left: int) -> None:
    """kill -9 just before the n-th time that this process opens a file to write, renames, makes or removes one."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event == "open":
            mode, flags = arguments[1], arguments[2]
            changes = isinstance(arguments[0], str) and bool(set(mode or "") & set("wxa+") or flags & os.O_CREAT)
        else:
            changes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir")
        left -= changes
        if changes and left == 0:
            die()

    sys.addaudithook(hook)


@dataclass(frozen=True)
class Death:
    """Where a process kills itself: before its n-th change on disk, or in its n-th forward pass; 0 = nowhere."""

    change: int = 0
    forward: int = 0
    limit: int = 0  # bytes no file may exceed, from the time the first checkpoint is there: a full disk


class Ready(Watcher):
    """Tells the parent that training begins; sets a limit on files once a checkpoint is there."""

    def __init__(self, say: Connection, limit: int):
        self.say, self.limit = say, limit

    def begin(self, *_: object) -> None:
        self.say.send("begun")

    def saved(self, step: int, path: Path) -> None:
        if self.limit:
            import resource  # POSIX alone has it; its signal Python ignores from the start

            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, self.limit))


def _child(say: Connection, case: str, out: Path, settings: TrainSettings, death: Death) -> None:
    torch.set_num_threads(1)
    objective = as_objective(CASES[case].objective())
    if death.change or death.forward:
        os.fsync = lambda descriptor: None  # a killed process loses nothing that it wrote, and this saves half the time
    if death.change:
        die_at_change(death.change)
    if death.forward:
        objective = Fatal(objective, death.forward)
    watch = Ready(say, death.limit)
    try:
        seed = os.getpid() if out.is_dir() and checkpoints.latest(out) else 0  # what is resumed may begin as anything
        go(CASES[case], out, settings, seed=seed, resume=True, objective=objective, watch=watch)
        say.send("done")
    except ValueError as error:
        say.send(f"{type(error).__name__}: {error}")


class Child:
    """A run in a process of its own, forked from one in which everything is imported; it resumes what it finds."""

    def __init__(self, case: str, out: Path, settings: TrainSettings, death: Death | None = None):
        kind = multiprocessing.get_context("forkserver")
        kind.set_forkserver_preload(["representatives"])
        self.heard, say = kind.Pipe(duplex=False)
        path = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(place for place in sys.path if place)  # the server's, at its start
        try:
            self.process = kind.Process(target=_child, args=(say, case, out, settings, death or Death()))
            self.process.start()
        finally:
            os.environ.pop("PYTHONPATH") if path is None else os.environ.update(PYTHONPATH=path)
        say.close()

    def hear(self) -> str:
        """The next thing it says; "" where it says nothing any more."""
        try:
            return self.heard.recv() if self.heard.poll(120) else ""
        except EOFError:
            return ""

    def end(self, *, kill: bool = False) -> int:
        """Its exit status, -9 where it was killed; with `kill` it is."""
        if kill:
            self.process.kill()
        self.process.join(120)
        status = self.process.exitcode
        assert status is not None
        self.heard.close()
        self.process.close()
        return status


def weights(module: nn.Module) -> Tensor:
    """All parameters in one row."""
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def without_dropout(**changes: Any) -> TrainSettings:
    """Settings under which two runs may be compared number by number: no average, one look at the end."""
    return replace(BASE, average=0.0, checkpoint_every=0, evaluate_every=0, **changes)
