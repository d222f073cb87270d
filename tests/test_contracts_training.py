"""The trainer's contracts (T1–T14; docs/trust.md), on a stranger's module, a decoder and an encoder–decoder.

Averaged weights, dropout and accumulation are on unless a test says otherwise. The rest of the matrix is marked slow:
`make test-all`.
"""

import itertools
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest
import torch
from representatives import (
    BASE,
    CASES,
    CONTEXT,
    END,
    EVERY,
    Child,
    Death,
    Stranger,
    Uncoupled,
    decoder_rows,
    go,
    pairs,
    rows,
    score,
    squared_error,
    traces,
    weights,
    without_dropout,
)
from torch import Tensor, nn

from weft.batch import IGNORED
from weft.data import Blocks, Packed
from weft.data.order import places
from weft.files import DamagedFile, read_tensors
from weft.models import reading
from weft.training import checkpoints, probe, run
from weft.training.checkpoints import AVERAGE, MODEL, OPTIMISER, STATE, SaveFailed, module_tensors
from weft.training.log import read
from weft.training.loop import train
from weft.training.objective import Diverged
from weft.training.optimisers import build_optimiser, trainable
from weft.training.settings import TrainSettings
from weft.training.strangers import as_dataset, as_objective
from weft.training.watch import Record, Watcher

FILES = (MODEL, OPTIMISER, AVERAGE, STATE)


def matrix(fast: set[tuple], *axes: tuple) -> list:
    """All combinations; those that are not `fast` are slow."""
    return [pytest.param(*each, marks=() if each in fast else pytest.mark.slow) for each in itertools.product(*axes)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """The uninterrupted run of a case in a precision; read it only."""
    made: dict[tuple[str, str], Path] = {}

    def find(case: str, kind: str = "fp32") -> Path:
        if (case, kind) not in made:
            made[case, kind] = tmp_path_factory.mktemp("whole") / "run"
            go(CASES[case], made[case, kind], replace(BASE, precision=kind))
        return made[case, kind]

    return find


def finish(case: str, out: Path, settings: TrainSettings = BASE, **more: Any) -> nn.Module:
    """Resume a run to its end, from weights that mean nothing; the module."""
    there = out.is_dir() and checkpoints.latest(out) is not None
    module = CASES[case].module(9 if there else 0, 0.1)
    torch.manual_seed(99)
    go(CASES[case], out, settings, module=module, resume=True, **more)
    return module


def stands(out: Path) -> int:
    """The step that a run could be resumed from; 0 where there is none. Every checkpoint is whole."""
    found = checkpoints.steps(out / "checkpoints") if (out / "checkpoints").is_dir() else []
    return max((checkpoints.verify(path)["step"] for path in found), default=0)


class At(Watcher):
    """Sends a signal to this process after each of some steps."""

    def __init__(self, *steps: int, number: int = signal.SIGINT):
        self.steps, self.number = steps, number

    def step(self, record: Record) -> None:
        if record.step in self.steps:
            signal.raise_signal(self.number)


class Seen:
    """An objective that remembers which samples went through it, and may spoil its n-th result."""

    def __init__(self, objective: Any, spoilt: int = 0):
        self.objective, self.spoilt, self.calls = as_objective(objective), spoilt, 0
        self.samples: list[int] = []

    def counts(self, batch: Any) -> Mapping[str, int]:
        return self.objective.counts(batch)

    def losses(self, module: nn.Module, batch: Any) -> Mapping[str, Any]:
        self.calls += 1
        self.samples += batch.samples
        terms = self.objective.losses(module, batch)
        if self.calls != self.spoilt:
            return terms
        return {name: replace(term, sum=term.sum * float("nan")) for name, term in terms.items()}


# ---------------------------------------------------------------- T1: the same bits after a stop


@pytest.mark.parametrize(
    ("case", "kind", "background"),
    matrix(
        {
            ("stranger", "fp32", True),
            ("stranger", "bf16", False),
            ("llama", "fp32", False),
            ("llama", "bf16", True),
            ("transformer", "bf16", True),
        },
        tuple(CASES),
        ("fp32", "bf16"),
        (True, False),
    ),
)
def test_killed_at_random_moments_a_run_ends_in_the_same_bits(
    whole: Callable, tmp_path: Path, case: str, kind: str, background: bool, request: pytest.FixtureRequest
) -> None:
    settings, out = replace(BASE, precision=kind, background=background), tmp_path / "run"
    expected = traces(whole(case, kind))
    left, patience = (20 if request.node.get_closest_marker("slow") else 3), 0.15
    while left:
        child = Child(case, out, settings)
        assert child.hear() == "begun"
        time.sleep(random.uniform(0, patience))
        if child.end(kill=True) == 0:  # it was done already: once more, from the beginning
            assert traces(out) == expected
            rmtree(out)
            patience *= 0.7
        else:
            left, _ = left - 1, stands(out)
    module = finish(case, out, settings)
    assert traces(out) == expected
    final = read_tensors(out / "checkpoints" / "step-00000010" / AVERAGE)
    assert all(torch.equal(parameter, final[name]) for name, parameter in trainable(module).items())


@pytest.mark.parametrize(("case", "background"), matrix({("stranger", True)}, tuple(CASES), (True, False)))
def test_killed_before_every_single_change_on_disk(
    whole: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, background: bool
) -> None:
    """The n-th process goes on from step 8 of 10 and dies before its n-th opening, renaming, making or removing of a
    file: in the middle of resuming, logging, saving and pruning. Each time the resumed run ends in the same bits."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # a killed process loses nothing that it wrote
    settings, expected = replace(BASE, background=background), traces(whole(case))
    go(CASES[case], tmp_path / "stopped", settings, watch=At(8))
    for kills in itertools.count():
        out = copytree(tmp_path / "stopped", tmp_path / str(kills))
        if Child(case, out, settings, Death(change=kills + 1)).end() == 0:
            break
        assert stands(out) >= 8
        finish(case, out, settings)
        assert traces(out) == expected
        rmtree(out)
    assert kills > 50


@pytest.mark.parametrize("case", CASES)
def test_killed_in_the_middle_of_a_step(whole: Callable, tmp_path: Path, case: str) -> None:
    """The n-th process dies in its n-th forward pass; every second one is the second micro-batch of a step."""
    out = tmp_path / "run"
    for forward in range(2, 8):
        assert Child(case, out, BASE, Death(forward=forward)).end() == -9
        stands(out)
    finish(case, out)
    assert traces(out) == traces(whole(case))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_a_run_saves_first(whole: Callable, tmp_path: Path, number: int) -> None:
    settings = replace(BASE, checkpoint_every=0)
    done = go(CASES["llama"], tmp_path, settings, watch=At(4, number=number))
    assert done.interrupted and done.progress.step == stands(tmp_path) == 4
    finish("llama", tmp_path, settings)
    assert traces(tmp_path) == traces(whole("llama"))


def test_two_runs_in_one_folder_are_kept_apart(whole: Callable, tmp_path: Path) -> None:
    words, told = r"another process is writing to .*run/checkpoints: wait", []

    class Second(Watcher):
        def step(self, record: Record) -> None:
            if record.step == 4:
                with pytest.raises(ValueError, match=words) as caught:
                    go(CASES["stranger"], tmp_path / "run", resume=True)
                child = Child("stranger", tmp_path / "run", BASE)
                told.append(child.hear() == f"ValueError: {caught.value}" and child.end() == 0)

    go(CASES["stranger"], tmp_path / "run", watch=Second())
    assert told == [True] and traces(tmp_path / "run") == traces(whole("stranger"))
    assert not list(tmp_path.rglob(".lock"))


def test_a_run_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the dataset has no samples"):
        train(Stranger(), [], squared_error, BASE, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_swept_when_a_finished_run_is_resumed(tmp_path: Path) -> None:
    parent = tmp_path / "checkpoints"
    go(CASES["stranger"], tmp_path, replace(BASE, keep=3))  # as if it had died before it removed the oldest
    (parent / ".step-00000011.0123.writing").mkdir()
    (parent / ".step-00000007.old.writing").mkdir()
    done = go(CASES["stranger"], tmp_path, BASE, resume=True)
    assert done.progress.step == done.steps == 10
    assert sorted(path.name for path in parent.iterdir()) == ["step-00000009", "step-00000010"]


def test_a_run_that_is_refused_loses_no_checkpoint(tmp_path: Path) -> None:
    go(CASES["stranger"], tmp_path, replace(BASE, keep=3))
    with pytest.raises(ValueError, match="started with 37 samples, and there are 38 now"):
        go(CASES["stranger"], tmp_path, replace(BASE, keep=1), data=rows(38), resume=True)
    assert len(checkpoints.steps(tmp_path / "checkpoints")) == 3


def test_asked_twice_a_run_leaves_at_once(whole: Callable, tmp_path: Path) -> None:
    class Impatient(Seen):
        def losses(self, module: nn.Module, batch: Any) -> Mapping[str, Any]:
            if self.calls == 7:  # the second micro-batch of step 4
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            return super().losses(module, batch)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        go(CASES["stranger"], tmp_path, objective=Impatient(squared_error))
    assert stands(tmp_path) == 3 and signal.getsignal(signal.SIGINT) is before
    finish("stranger", tmp_path)
    assert traces(tmp_path) == traces(whole("stranger"))


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert go(CASES["stranger"], None, watch=At(4)).progress.step == 10
    finally:
        signal.signal(signal.SIGINT, before)


def test_noise_that_a_data_set_draws_is_drawn_again_alike(tmp_path: Path) -> None:
    """From torch's generator, without threads that read ahead; anything else must be a function of the sample."""

    class Noisy(list):
        def __getitem__(self, number: Any) -> Any:
            sample = super().__getitem__(number)
            return {**sample, "x": sample["x"] + torch.randn(6)}

    for name, stops in (("whole", ()), ("stopped", (3, 7))):
        torch.manual_seed(1)
        while go(CASES["stranger"], tmp_path / name, data=Noisy(rows()), watch=At(*stops), resume=True).interrupted:
            torch.manual_seed(random.randrange(1000))
            stops = stops[1:]
    assert traces(tmp_path / "stopped") == traces(tmp_path / "whole")


def test_an_evaluator_that_failed_is_asked_again(whole: Callable, tmp_path: Path) -> None:
    def fails(module: nn.Module) -> dict[str, float]:
        raise RuntimeError("the evaluator's own mistake")

    settings = replace(BASE, checkpoint_every=0)
    for stop in (3, 3):
        with pytest.raises(RuntimeError, match="own mistake"):
            train(Stranger(), rows(), squared_error, settings, tmp_path, evaluate=fails, resume=True)
        assert stands(tmp_path) == stop
    finish("stranger", tmp_path, settings)
    assert traces(tmp_path) == traces(whole("stranger"))


# ---------------------------------------------------------------- T2, T6, T7, T11, T14: what a step is made of


@pytest.mark.parametrize("case", CASES)
def test_workers_and_micro_batches_change_no_order_and_no_loss(tmp_path: Path, case: str) -> None:
    found = []
    for workers, parts in ((0, 1), (3, 1), (0, 2), (2, 4)):
        seen, out = Seen(CASES[case].objective()), tmp_path / f"{workers}-{parts}"
        settings = without_dropout(workers=workers, micro_batches=parts, steps=6)
        module = CASES[case].module(0, 0.0)
        go(CASES[case], out, settings, module=module, objective=seen)
        lines = [line for line in read(out / "log.jsonl") if "loss" in line]
        found.append((seen.samples, [x["loss"] for x in lines], [x["rate"] for x in lines], weights(module)))
    first, ahead, *parted = found
    assert torch.equal(first[3], ahead[3])  # reading ahead changes not a bit
    for samples, losses, rates, _ in (ahead, *parted):
        assert samples == first[0] and rates == first[2]
        assert losses == pytest.approx(first[1], rel=1e-6)  # of a loss of 6: fp32 has 5e-7 between two numbers there


@pytest.mark.parametrize("case", CASES)
def test_resuming_with_other_micro_batches_and_workers_goes_on_alike(tmp_path: Path, case: str) -> None:
    losses, orders = [], []
    for name, changes in (("same", {}), ("elastic", dict(micro_batches=4, workers=3, background=False, log_every=1))):
        seen, out = Seen(CASES[case].objective()), tmp_path / name
        settings = without_dropout(micro_batches=1, steps=8)
        go(CASES[case], out, settings, module=CASES[case].module(0, 0.0), objective=seen, watch=At(3))
        module = CASES[case].module(9, 0.0)
        done = go(CASES[case], out, replace(settings, **changes), module=module, objective=seen, resume=True)
        assert any("micro_batches was 1 and is 4" in notice for notice in done.notices) == bool(changes)
        losses.append([line["loss"] for line in read(out / "log.jsonl") if "loss" in line])
        orders.append(seen.samples)
    assert losses[0] == pytest.approx(losses[1], abs=1e-6) and orders[0] == orders[1]


def gradient(case: str, data: Any, parts: int) -> tuple[float, Tensor]:
    """Loss and gradient of the first step, of eight rows in so many parts."""
    module = EVERY[case].module(0, 0.0)
    settings = without_dropout(batch=8, micro_batches=parts, steps=1, clip=0.0, warmup=0)
    objective = Uncoupled(EVERY[case].objective())  # what couples the samples of a batch is exempt, being declared
    loss = go(EVERY[case], None, settings, module=module, data=data, objective=objective).progress.loss
    assert loss is not None
    return loss, torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


@pytest.mark.parametrize("case", EVERY)
def test_ragged_micro_batches_add_up_to_one_large_batch(case: str) -> None:
    loss, expected = gradient(case, EVERY[case].data(), 1)
    for parts in (2, 4, 8):
        other, found = gradient(case, EVERY[case].data(), parts)
        assert other == pytest.approx(loss, abs=1e-6)
        assert (found - expected).abs().max() <= 1e-6 * max(1.0, float(expected.norm()))


@pytest.mark.parametrize("case", reading("text"))
def test_a_micro_batch_without_labels_contributes_nothing(case: str) -> None:
    half, none = EVERY[case].data(), EVERY[case].data()
    half.bare, none.bare = (lambda number: number % 2 == 0), (lambda number: True)
    loss, expected = gradient(case, half, 1)
    other, found = gradient(case, half, 8)  # so that whole micro-batches have none
    assert other == pytest.approx(loss, abs=1e-6) and bool(found.isfinite().all())
    assert (found - expected).abs().max() <= 1e-6 * max(1.0, float(expected.norm()))
    module = EVERY[case].module(0, 0.1)
    before = weights(module)
    done = go(EVERY[case], None, replace(BASE, steps=2, warmup=0, average=0.0), module=module, data=none)
    assert torch.equal(weights(module), before) and done.progress.updates == 0
    assert sum("is skipped: not one label counts" in notice for notice in done.notices) == 2


@pytest.mark.parametrize("case", CASES)
def test_every_sample_once_an_epoch_whatever_the_stops(tmp_path: Path, case: str) -> None:
    seen, settings = Seen(CASES[case].objective()), replace(BASE, steps=0, epochs=2.0, checkpoint_every=0)
    size = len(as_dataset(CASES[case].data()))
    for stop in (2, 3, 7, 0):
        go(CASES[case], tmp_path, settings, objective=seen, watch=At(stop), resume=True)
    assert len(seen.samples) == -(-2 * size // 4) * 4
    for epoch in range(2):
        assert sorted(seen.samples[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_an_iterable_is_read_in_its_order_and_refused_on_resume(tmp_path: Path) -> None:
    def slowly() -> Iterator[dict[str, Any]]:
        for sample in rows(200):
            time.sleep(random.choice((0, 2e-4)))  # so that a second thread would overtake the first
            yield sample

    seen = []
    for workers in (0, 4):
        loss = Seen(squared_error)
        go(CASES["stranger"], tmp_path / str(workers), replace(BASE, workers=workers), data=slowly(), objective=loss)
        seen.append(loss.samples)
    assert seen == [list(range(40))] * 2
    with pytest.raises(ValueError, match="sample 40 was asked for, 0 is next. Store it first"):
        go(CASES["stranger"], tmp_path / "0", replace(BASE, steps=12), data=slowly(), resume=True)
    with pytest.raises(ValueError, match="the run in .* has read an iterable, .* it cannot be resumed; name another"):
        go(CASES["stranger"], tmp_path / "0", replace(BASE, steps=12), data=rows(200), resume=True)
    go(CASES["stranger"], tmp_path / "list", watch=At(3))
    with pytest.raises(ValueError, match="was started with 37 samples, and an iterable is given now: another order"):
        go(CASES["stranger"], tmp_path / "list", data=iter(rows()), resume=True)
    with pytest.raises(ValueError, match="the iterable ended after 37 samples"):
        go(CASES["stranger"], None, data=iter(rows()))
    stopped = go(CASES["stranger"], tmp_path / "stopped", data=iter(rows()), watch=At(3))
    assert stopped.notices[-1].startswith("stopped after step 3 of 10; its weights are kept in ")
    assert stopped.notices[-1].endswith("it cannot go on: an iterable is not read again")
    for length in (dict(epochs=1.0), dict(tokens=100)):
        with pytest.raises(ValueError, match="how long an iterable is nobody knows"):
            go(CASES["stranger"], None, replace(BASE, steps=0, **length), data=iter(rows()))


# ---------------------------------------------------------------- T3: damaged checkpoints


@contextmanager
def hurt(file: Path, data: bytes | None) -> Iterator[None]:
    """Inside it the file holds something else, or (None) is not there."""
    kept = file.read_bytes()
    try:
        file.unlink() if data is None else file.write_bytes(data)
        yield
    finally:
        file.write_bytes(kept)


def positions(file: Path) -> list[int]:
    """A byte of every kind there is in a file of a checkpoint."""
    data = file.read_bytes()
    size = len(data)
    if file.name == STATE:
        words = (b'"digest"', b'"position": ', b'"generators": [\n  "', b'"model.safetensors": "', b'"bf16_gflops": ')
        ends = [data.index(word) + len(word) for word in words]
        return [0, 1, size // 2, *ends, data.index(b" "), data.rindex(b"}"), size - 1]
    header = int.from_bytes(data[:8], "little")
    start = 8 + header
    names = [data.index(word) for word in (b"F32", b"shape", b"data_offsets")]
    between = [8 + header // 2, start - 1, start, start + 1, (start + size) // 2, size - 2, size - 1]
    return [*range(8), 8, 9, *names, *between]


def flip(folder: Path, file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1 << place % 8
    with hurt(file, bytes(data)), pytest.raises(DamagedFile, match=file.name):
        checkpoints.verify(folder)


@pytest.mark.parametrize("case", CASES)
def test_a_flipped_byte_of_any_kind_is_refused(whole: Callable, case: str) -> None:
    folder = checkpoints.steps(whole(case) / "checkpoints")[0]
    flips = [(file, place) for file in map(folder.joinpath, FILES) for place in positions(file)]
    assert len(flips) == 71
    for file, place in flips:
        flip(folder, file, place)
    checkpoints.verify(folder)  # all is as it was


@pytest.mark.slow
def test_every_byte_of_every_file_counts(whole: Callable) -> None:
    folder = checkpoints.steps(whole("stranger") / "checkpoints")[0]
    flips = [(file, place) for file in map(folder.joinpath, FILES) for place in range(file.stat().st_size)]
    assert len(flips) > 13_000
    for file, place in flips:
        flip(folder, file, place)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_or_gone_is_refused_and_the_one_before_taken(
    whole: Callable, tmp_path: Path, name: str
) -> None:
    out = copytree(whole("llama"), tmp_path / "run")
    file = checkpoints.steps(out / "checkpoints")[0] / name
    data = file.read_bytes()
    cuts = {0, 1, 7, 8, 9, len(data) // 2, len(data) - 1, 8 + int.from_bytes(data[:8], "little")}
    other = (file.parent.parent / "step-00000009" / name).read_bytes()
    for damaged in [*(data[:cut] for cut in cuts if cut < len(data)), data + b"\0", data + data, other, None]:
        with hurt(file, damaged):
            found = checkpoints.latest(out)
        assert found is not None and found.step == 9 and found.refused == (file.parent,)
        assert "step-00000010 is refused" in found.notices[0] and (name in found.notices[0] or damaged == other)
        assert found.notices[1] == "the last good checkpoint is step-00000009; going on from there"


def test_a_checkpoint_put_together_by_others_is_refused(whole: Callable, tmp_path: Path) -> None:
    out = copytree(whole("stranger"), tmp_path / "run")
    folder = checkpoints.steps(out / "checkpoints")[0]
    state = checkpoints.verify(folder)
    for digests, words in (
        ({"../../x": "0" * 64}, "is no file of a checkpoint"),
        ({"/etc/passwd": "0" * 64}, "is no file of a checkpoint"),
        ({"notes.txt": "0" * 64}, "is no file of a checkpoint"),
    ):
        sealed = checkpoints.seal({**state, "digests": {**state["digests"], **digests}})
        with hurt(folder / STATE, sealed.encode()), pytest.raises(DamagedFile, match=words):
            checkpoints.verify(folder)
    for without in (MODEL, OPTIMISER, AVERAGE):
        kept = {name: value for name, value in state["digests"].items() if name != without}
        with hurt(folder / STATE, checkpoints.seal({**state, "digests": kept}).encode()), pytest.raises(DamagedFile):
            checkpoints.verify(folder)
    twice = (folder / STATE).read_text().replace("{", '{"step": 1,', 1)
    for text in (twice, "[]", "null", "{", "\ufeff{}", (folder / STATE).read_text().replace(" ", "  ", 1)):
        with hurt(folder / STATE, text.encode()), pytest.raises(DamagedFile, match=STATE):
            checkpoints.verify(folder)
    renamed = folder.rename(folder.with_name("step-00000099"))
    with pytest.raises(DamagedFile, match="holds step 10, which is not the folder's"):
        checkpoints.verify(renamed)
    rmtree(renamed)
    (folder.with_name("step-00000011")).mkdir()
    found = checkpoints.latest(out)
    assert found is not None and found.step == 9


@pytest.mark.parametrize("case", CASES)
def test_past_a_damaged_checkpoint_a_run_ends_in_the_same_bits(whole: Callable, tmp_path: Path, case: str) -> None:
    out = copytree(whole(case), tmp_path / "run")
    file = out / "checkpoints" / "step-00000010" / AVERAGE
    data = bytearray(file.read_bytes())
    data[-2] ^= 4
    file.write_bytes(bytes(data))
    finish(case, out)
    assert traces(out) == traces(whole(case))
    assert (out / "checkpoints" / "refused-step-00000010").is_dir()


# ---------------------------------------------------------------- T4, T5: full disks, saves in the background


@pytest.mark.parametrize(
    ("case", "first", "background"),
    [
        ("llama", MODEL, True),
        ("llama", OPTIMISER, False),
        ("stranger", STATE, True),
        ("stranger", STATE, False),
        ("stranger", "log.jsonl", False),
    ],
)
def test_a_full_disk_is_said_and_costs_no_checkpoint(
    whole: Callable, tmp_path: Path, case: str, first: str, background: bool
) -> None:
    """Once the first checkpoint is there, no file may grow beyond a limit, which `first` is the first to meet."""
    settings, out = replace(BASE, background=background), tmp_path / "run"
    folder, logged = whole(case) / "checkpoints" / "step-00000010", first == "log.jsonl"
    limit = 100 if logged else (folder / first).stat().st_size * 9 // 10
    assert logged or all((folder / name).stat().st_size <= limit for name in FILES[: FILES.index(first)])
    child = Child(case, out, settings, Death(limit=limit))
    assert child.hear() == "begun"
    said = child.hear()
    assert child.end() == 0 and said.startswith("SaveFailed: ") and "File too large" in said
    assert ("log.jsonl cannot be written" if logged else "step-00000001 before it is intact") in said
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-00000001"] and stands(out) == 1
    assert sorted(path.name for path in out.iterdir()) == ["checkpoints", "log.jsonl"]
    finish(case, out, settings)
    assert traces(out) == traces(whole(case))


def test_a_folder_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "run", Path("/proc/nowhere/run")):
        with pytest.raises(SaveFailed, match="cannot be written"):
            go(CASES["stranger"], out)


def test_a_failed_save_is_said_beside_another_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = Seen(squared_error, spoilt=9)  # the first micro-batch of step 5

    def full(path: Path, tensors: Mapping[str, Tensor]) -> None:
        while loss.calls < loss.spoilt:
            time.sleep(0.001)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "write_tensors", full)
    with pytest.raises(Diverged) as caught:
        go(CASES["stranger"], tmp_path, replace(BASE, checkpoint_every=4), objective=loss)
    assert "No space left on device; there was none before it" in caught.value.__notes__[0]


def test_a_failed_save_in_the_background_is_said_at_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    class Slow(Watcher):
        def step(self, record: Record) -> None:
            taken.append(record.step)
            if record.step > 4:
                time.sleep(0.3)  # meanwhile the save of step 4 fails

    def full(path: Path, tensors: Mapping[str, Tensor]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "write_tensors", full)
    with pytest.raises(SaveFailed, match="step-00000004 could not be written: No space left on device"):
        go(CASES["stranger"], tmp_path, replace(BASE, checkpoint_every=4), watch=Slow())
    assert max(taken) < 7


@pytest.mark.parametrize("background", [True, False])
def test_an_old_checkpoint_that_cannot_be_removed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(checkpoints, "remove", refused)
    with pytest.raises(SaveFailed, match=r"rid of older checkpoints: .*Permission denied.*step-00000001.*is intact"):
        go(CASES["stranger"], tmp_path, replace(BASE, background=background))
    assert stands(tmp_path) == 3


def test_one_copy_is_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, saved, copied, overlaps = threading.Event(), checkpoints.save, run.copied, list[bool]()

    def slowly(*given: Any, **named: Any) -> Path:
        writing.set()
        time.sleep(0.02)
        path = saved(*given, **named)
        writing.clear()
        return path

    def noted(tensor: Tensor) -> Tensor:
        overlaps.append(writing.is_set())
        return copied(tensor)

    monkeypatch.setattr(checkpoints, "save", slowly)
    monkeypatch.setattr(run, "copied", noted)
    go(CASES["stranger"], tmp_path)
    assert len(overlaps) > 100 and not any(overlaps)


@pytest.mark.parametrize("case", CASES)
def test_a_save_in_the_background_equals_one_in_the_foreground(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Nothing of a checkpoint is written before the weights, their averages and the optimiser have moved on."""
    changed, taken, waited, written = threading.Condition(), [0], Counter[bool](), checkpoints.write_tensors

    class Moving(Watcher):
        def step(self, record: Record) -> None:
            with changed:
                taken.append(record.step)
                changed.notify_all()

    def slowly(path: Path, tensors: Mapping[str, Tensor]) -> None:
        if path.name == MODEL:
            step = int(path.parent.name.split(".")[1].removeprefix("step-"))
            with changed:  # the last step is followed by none
                waited[changed.wait_for(lambda: taken[-1] > step, 0.1 if step == BASE.steps else 60)] += 1
        written(path, tensors)

    go(CASES[case], tmp_path / "fore", replace(BASE, keep=20, background=False))
    monkeypatch.setattr(checkpoints, "write_tensors", slowly)
    go(CASES[case], tmp_path / "back", replace(BASE, keep=20), watch=Moving())
    assert waited == {True: 9, False: 1}
    kept: dict[str, list[dict[str, Any]]] = {"fore": [], "back": []}
    for name, folders in kept.items():
        for folder in checkpoints.steps(tmp_path / name / "checkpoints"):
            state = json.loads((folder / STATE).read_text())
            del state["digest"], state["progress"]["seconds"], state["settings"]["background"]
            folders.append({"state": state, **{file: (folder / file).read_bytes() for file in FILES if file != STATE}})
    assert len(kept["back"]) == 10 and kept["back"] == kept["fore"]


# ---------------------------------------------------------------- T8: not finite


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_a_loss_that_is_not_finite_stops_the_run(whole: Callable, tmp_path: Path, case: str, background: bool) -> None:
    settings = replace(BASE, background=background, keep=1)
    loss = Seen(CASES[case].objective(), spoilt=8)  # the second micro-batch of step 4
    with pytest.raises(Diverged, match=r"step 4: the loss is nan .* for samples \d+, \d+; no checkpoint") as caught:
        go(CASES[case], tmp_path, settings, objective=loss)
    assert "samples " + ", ".join(map(str, loss.samples[-2:])) in str(caught.value)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000003"] and stands(tmp_path) == 3
    finish(case, tmp_path, settings)
    assert traces(tmp_path) == traces(whole(case))


def test_a_label_that_is_not_a_number_is_found(tmp_path: Path) -> None:
    data = rows()
    data[11]["y"] = data[11]["y"] * float("nan")
    with pytest.raises(Diverged) as caught:
        go(CASES["stranger"], tmp_path, replace(BASE, batch=4, micro_batches=4, epochs=1.0, steps=0), data=data)
    assert "for sample 11; " in str(caught.value)


# ---------------------------------------------------------------- T9, T13: groups, and the end of a text


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
@pytest.mark.parametrize("case", CASES)
def test_every_parameter_is_in_one_group_and_norms_do_not_decay(case: str, optimiser: str) -> None:
    module = CASES[case].module(0, 0.1)
    built = build_optimiser(module, replace(BASE, optimiser=optimiser))
    groups = [group for part in built.parts for group in part.param_groups]
    times = Counter(id(parameter) for group in groups for parameter in group["params"])
    decays = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    assert times == Counter(id(parameter) for parameter in trainable(module).values())
    for name, parameter in trainable(module).items():
        gentle = parameter.ndim < 2 or "norm" in name or name.endswith("bias")
        assert decays[id(parameter)] == (0.0 if gentle else BASE.weight_decay), name


def test_the_end_of_a_text_is_predicted_though_padding_has_its_number() -> None:
    texts = pairs()
    batch = texts.batch(places(0, range(len(texts))))
    assert batch.labels is not None and batch.segments is not None
    assert torch.equal(batch.labels != IGNORED, batch.segments > 0)  # what is read predicts, padding does not
    assert (batch.labels == texts._end).sum(1).tolist() == [1] * len(texts)

    tokens = torch.tensor([END, 3, 4, END, 5, END, 6, 7, 8, END]).numpy()
    packed = Packed(tokens, torch.tensor([1, 4, 6, 10]).numpy(), 7, end=END)
    ends = sum(int((packed.batch([place]).labels == END).sum()) for place in places(0, range(len(packed))))  # type: ignore[union-attr]
    blocks = Blocks(tokens, 4, shift=False, isolate=True, end=END)
    last = blocks.batch(places(0, range(len(blocks))))
    assert last.labels is not None and ends == int((last.labels == END).sum()) == 3


# ---------------------------------------------------------------- a run's length


def counted(settings: TrainSettings, data: Any) -> int:
    return go(CASES["stranger" if isinstance(data, list) else "llama"], None, settings, data=data).steps


def test_a_run_is_as_long_as_was_asked_for() -> None:
    def asked(**length: float) -> TrainSettings:
        return replace(BASE, **{"steps": 0, "warmup": 0, "evaluate_every": 0, **length})

    assert counted(asked(epochs=0.1), rows()) == 1
    assert counted(asked(epochs=1.0), rows()) == 10  # 37 samples, 4 a step
    assert counted(asked(epochs=1), rows(3)) == 1  # a step of more rows than there are
    assert counted(asked(tokens=1), decoder_rows()) == 1
    assert counted(asked(tokens=4 * CONTEXT * 5), decoder_rows()) == 5
    assert counted(asked(tokens=4 * CONTEXT * 5 + 1), decoder_rows()) == 6
    assert counted(asked(minutes=1e-9), rows()) == 1
    done = go(CASES["transformer"], None, asked(tokens=500))  # ragged rows: by the mean of an epoch's
    assert 400 <= done.progress.tokens <= 625
    with pytest.raises(ValueError, match="warmup 5 is longer than the whole run of 1 steps"):
        counted(asked(epochs=0.1, warmup=5), rows())


def test_minutes_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(BASE, steps=0, minutes=0.1, warmup=0)
    monkeypatch.setattr(probe, "seconds_per_step", lambda *_: 0.5)
    stopped = go(CASES["stranger"], tmp_path, settings, watch=At(4))
    assert stopped.steps == 12 and stopped.progress.step == 4
    monkeypatch.setattr(probe, "seconds_per_step", lambda *_: pytest.fail("measured again"))
    assert go(CASES["stranger"], tmp_path, settings, resume=True).steps == 12
    longer = go(CASES["stranger"], tmp_path, replace(settings, minutes=10.0), resume=True, watch=At(14))  # own pace
    assert longer.steps > 14 and any("minutes was 0.1 and is 10.0 now" in notice for notice in longer.notices)
    with pytest.raises(ValueError, match="taken 14 steps, and a length of 1 is asked for"):
        go(CASES["stranger"], tmp_path, replace(settings, minutes=1e-9), resume=True)


def test_minutes_are_of_steps_of_mean_length_whatever_the_first_ones_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that each token moves on by a hundredth of a second."""
    clock, whole, seen = [0.0], probe.seconds_per_step, list[float]()

    def update(_: Any, batches: list[Any], __: int) -> None:
        clock[0] += sum(batch.size for batch in batches) / 100

    def measured(*given: Any) -> float:
        with monkeypatch.context() as patch:
            patch.setattr(probe, "update", update)
            patch.setattr(probe.time, "perf_counter", lambda: clock[0])
            seen.append(whole(*given))
        return 30.0  # of a minute: two steps

    monkeypatch.setattr(probe, "seconds_per_step", measured)
    data = CASES["transformer"].data()
    go(CASES["transformer"], None, replace(BASE, steps=0, minutes=1.0, warmup=0), data=data)
    each = sum(data.batch([data.place(number, 0)]).size for number in range(len(data))) / len(data)
    assert seen == [pytest.approx(BASE.batch * each / 100, rel=0.05)]


def test_measuring_changes_not_a_bit(tmp_path: Path) -> None:
    go(CASES["llama"], tmp_path / "minutes", replace(BASE, steps=0, minutes=1e-9, warmup=0))
    go(CASES["llama"], tmp_path / "steps", replace(BASE, steps=1, warmup=0))
    assert traces(tmp_path / "minutes") == traces(tmp_path / "steps")


def test_trying_that_fails_changes_not_a_bit() -> None:
    class Failing(Seen):
        def losses(self, module: nn.Module, batch: Any) -> Mapping[str, Any]:
            if self.calls == 5:
                raise RuntimeError("the loss's own mistake")
            return super().losses(module, batch)

    module, settings = Stranger(), replace(BASE, steps=0, minutes=1.0, warmup=0)
    before = {name: tensor.clone() for name, tensor in module_tensors(module).items()}
    with pytest.raises(RuntimeError, match="own mistake"):
        go(CASES["stranger"], None, settings, module=module, objective=Failing(squared_error))
    assert same(module_tensors(module), before) and all(parameter.grad is None for parameter in module.parameters())


def test_what_is_tried_has_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(BASE, steps=0, minutes=0.1, warmup=0)
    data, seen, tried = decoder_rows(), Seen(CASES["llama"].objective()), list[tuple[int, ...]]()
    first = tuple(data.place(number, BASE.seed).sample for number in range(2 * BASE.batch))
    data.bare = lambda number: number in first

    def noted(_: Any, __: Any, batches: list[Any]) -> float:
        tried.append(tuple(sample for batch in batches for sample in batch.samples))
        return 1.0

    monkeypatch.setattr(probe, "seconds_per_step", noted)
    assert go(CASES["llama"], None, settings, data=data, objective=seen).steps == 6
    order = [data.place(number, BASE.seed).sample for number in range(6 * BASE.batch)]
    assert tried == [tuple(order[8:12])]
    assert seen.samples == order[8:]  # nothing was lost: the two steps before were skipped
    data.bare = lambda number: True
    with pytest.raises(ValueError, match="not one label counts in the first 16 steps, so nobody can say how long"):
        go(CASES["llama"], None, settings, data=data)


# ---------------------------------------------------------------- what the finished weights are


def planned(*values: float) -> Callable[[nn.Module], dict[str, float]]:
    """An evaluator that gives these figures, one after the other."""
    left = iter(values)
    return lambda module: {"loss": next(left)}


def finished(out: Path, settings: TrainSettings, evaluate: Any = None, **more: Any) -> tuple[dict[str, Tensor], Any]:
    module = Stranger()
    done = train(module, rows(), squared_error, settings, out, evaluate=evaluate, **more)
    return {name: tensor.detach().clone() for name, tensor in module_tensors(module).items()}, done


def same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


def test_the_mean_of_the_last_checkpoints(tmp_path: Path) -> None:
    settings = replace(BASE, average=0.0, last=3, keep=3)
    found, done = finished(tmp_path, settings, score)
    states = [read_tensors(path / MODEL) for path in checkpoints.steps(tmp_path / "checkpoints")]
    assert len(states) == 3 and "step-00000008, step-00000009, step-00000010" in done.notices[-1]
    for name in trainable(Stranger()):
        mean = sum(state[name].double() for state in states) / 3
        assert torch.equal(found[name], mean.float())  # type: ignore[union-attr]
    assert done.figures["size"] != done.progress.evaluation["size"]  # they are evaluated once more
    again, _ = finished(tmp_path, settings, score, resume=True)
    assert same(again, found)


def test_the_best_checkpoint(tmp_path: Path) -> None:
    settings = replace(BASE, average=0.0, best="loss", evaluate_every=2, keep=1, checkpoint_every=3)
    found, done = finished(tmp_path / "a", settings, planned(3, float("nan"), 1, 2, 1, 0.5))  # after 2, 4, 6, 8, 10
    best = tmp_path / "a" / "checkpoints" / "step-00000006"
    assert done.progress.best_step == 6 and done.figures == {"loss": 0.5} and same(found, read_tensors(best / MODEL))
    assert [path.name for path in checkpoints.steps(best.parent)] == ["step-00000010", "step-00000006"]
    _, stopped = finished(tmp_path / "b", settings, planned(3, 4, 1), watch=At(7))
    assert stopped.interrupted and stopped.progress.best_step == 6
    again, _ = finished(tmp_path / "b", settings, planned(2, 1, 0.5), resume=True)
    assert same(again, found)
    flipped = (best / MODEL).read_bytes()[:-1] + b"\0"  # it would load
    with hurt(best / MODEL, flipped), pytest.raises(DamagedFile, match=r"step-00000006/model"):
        finished(tmp_path / "a", settings, planned(), resume=True)


def test_a_best_that_is_none(tmp_path: Path) -> None:
    settings = replace(BASE, average=0.0, best="los")
    with pytest.raises(ValueError, match="best='los' is a figure of the evaluator's, and there is none"):
        finished(tmp_path / "a", settings)
    with pytest.raises(ValueError, match="best='los' is no figure of the evaluator's; it gives loss"):
        finished(tmp_path / "a", replace(settings, evaluate_every=0), planned(1))
    right = replace(settings, best="loss", evaluate_every=0)  # at the end of the run, which is not lost
    _, done = finished(tmp_path / "a", right, planned(1, 1), resume=True)
    assert done.progress.best_step == 10 and any("best was los and is loss now" in notice for notice in done.notices)
    _, done = finished(tmp_path / "b", replace(right, evaluate_every=3), lambda module: {"loss": float("nan")})
    assert done.notices[-1] == "no evaluation gave a finite loss: the finished weights are the last ones"


def test_a_stop_changes_no_mean_of_the_last_checkpoints(tmp_path: Path) -> None:
    def fails(module: nn.Module) -> dict[str, float]:
        raise RuntimeError("the evaluator's own mistake")

    settings = replace(BASE, average=0.0, last=2, keep=2, checkpoint_every=4)  # of the steps 8 and 10
    expected, done = finished(tmp_path / "whole", settings, score)
    assert "step-00000008, step-00000010" in done.notices[-1]
    finished(tmp_path / "stopped", settings, score, watch=At(9))
    found, done = finished(tmp_path / "stopped", settings, score, resume=True)
    assert same(found, expected) and "step-00000008, step-00000010" in done.notices[-1]
    with pytest.raises(RuntimeError, match="own mistake"):
        finished(tmp_path / "failed", replace(settings, evaluate_every=9), fails)
    assert same(finished(tmp_path / "failed", settings, score, resume=True)[0], expected)


def test_a_mean_of_checkpoints_that_will_not_be_there_is_refused(tmp_path: Path) -> None:
    settings = replace(BASE, average=0.0, last=3, keep=3, checkpoint_every=5)
    with pytest.raises(
        ValueError, match=r"last=3 .* 10 steps with checkpoint_every=5 writes 2: set checkpoint_every=3"
    ):
        finished(tmp_path, settings)
    assert not (tmp_path / "checkpoints" / "step-00000005").exists()
    finished(tmp_path, replace(settings, last=0, keep=1, checkpoint_every=3))
    with pytest.raises(ValueError, match=r"of steps 10, 9, 6, and 9, 6 is not in"):
        finished(tmp_path, replace(settings, checkpoint_every=3), resume=True)


def test_the_best_of_a_damaged_run(tmp_path: Path) -> None:
    settings = replace(BASE, average=0.0, best="loss", evaluate_every=2, keep=2, checkpoint_every=2)
    finished(tmp_path, settings, planned(3, 1, 2, 2, 0.5, 0.5))  # the best is the last one; it was that of step 4
    parent = tmp_path / "checkpoints"
    assert [path.name[-2:] for path in checkpoints.steps(parent)] == ["10", "08", "04"]
    (parent / "step-00000010" / MODEL).write_bytes(b"damaged")
    copytree(tmp_path, tmp_path / "gone")
    _, done = finished(tmp_path, settings, planned(2, 1), resume=True)
    assert done.progress.best_step == 4
    rmtree(tmp_path / "gone" / "checkpoints" / "step-00000004")  # by whoever
    _, done = finished(tmp_path / "gone", settings, planned(2, 1), resume=True)
    assert done.progress.best_step == 10 and any("step-00000004, is gone" in notice for notice in done.notices)


def test_averages_of_bf16_weights_do_not_freeze(tmp_path: Path) -> None:
    def error(module: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        return (module(batch["x"].to(module.out.weight.dtype)).float() - batch["y"]).square().mean(-1)  # type: ignore

    module, settings = Stranger(dropout=0.0).bfloat16(), replace(BASE, steps=200, average=0.999, rate=3e-3)
    train(module, rows(), error, replace(settings, checkpoint_every=0), tmp_path)
    path = checkpoints.steps(tmp_path / "checkpoints")[0]
    kept, first = read_tensors(path / AVERAGE), Stranger(dropout=0.0).bfloat16()
    for name, weight in trainable(module).items():
        assert kept[name].dtype == torch.float32 and torch.equal(weight, kept[name].bfloat16())
    moved = [
        (kept[name] - weight.float()).abs().mean() for name, weight in trainable(first).items() if name != "unused"
    ]
    last = read_tensors(path / MODEL)
    far = [(last[name] - weight).abs().mean() for name, weight in trainable(first).items() if name != "unused"]
    assert sum(moved) > 0.3 * sum(far)


# ---------------------------------------------------------------- what the caller gets back, and what a module keeps


class Keeping(Stranger):
    """A frozen norm, a buffer that is not persistent, and state of its own, all of which a forward pass moves."""

    def __init__(self, seed: int = 0, dropout: float = 0.1):
        super().__init__(seed, dropout)
        self.register_buffer("mean", torch.zeros(6), persistent=False)
        self.calls = 0

    def get_extra_state(self) -> Any:
        return {"calls": self.calls}

    def set_extra_state(self, state: Any) -> None:
        self.calls = state["calls"]

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
            self.mean.lerp_(x.mean(0), 0.1)  # type: ignore[operator]
        return super().forward(x - self.mean) * (1 + 0.01 * self.calls)  # type: ignore[operator]


def test_what_a_module_keeps_for_itself_survives_a_stop(tmp_path: Path) -> None:
    for name, stop in (("whole", ()), ("stopped", (5,))):
        done = go(CASES["stranger"], tmp_path / name, module=Keeping(), watch=At(*stop))
        if done.interrupted:
            go(CASES["stranger"], tmp_path / name, module=Keeping(9), resume=True)
    paths = [checkpoints.steps(tmp_path / name / "checkpoints")[0] for name in ("whole", "stopped")]
    found = [{file.name: file.read_bytes() for file in path.glob("*.safetensors")} for path in paths]
    assert found[0] == found[1] and "rest.safetensors" in found[0]
    states = [checkpoints.verify(path)["extra"] for path in paths]
    assert states == [{"_extra_state": {"calls": 20}}] * 2


def test_measuring_changes_nothing_that_a_module_keeps() -> None:
    module = Keeping()
    go(CASES["stranger"], None, replace(BASE, steps=0, minutes=1e-9, warmup=0), module=module)
    plain = Keeping()
    go(CASES["stranger"], None, replace(BASE, steps=1, warmup=0), module=plain)
    assert module.calls == plain.calls == 2 and torch.equal(module.mean, plain.mean)  # type: ignore[arg-type]


def test_state_that_no_checkpoint_can_hold_is_refused(tmp_path: Path) -> None:
    class Odd(Keeping):
        def get_extra_state(self) -> Any:
            return {1, 2}

    with pytest.raises(ValueError, match=r"_extra_state is \{1, 2\}, which no checkpoint can hold"):
        go(CASES["stranger"], tmp_path, module=Odd())


def test_a_run_leaves_the_generator_as_it_was(tmp_path: Path) -> None:
    def fails(module: nn.Module, batch: Any) -> Tensor:
        raise RuntimeError("the loss's own mistake")

    torch.manual_seed(7)
    module, before = Stranger(), torch.manual_seed(8).get_state()
    go(CASES["stranger"], None, module=module)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(RuntimeError, match="own mistake"):
        go(CASES["stranger"], None, module=module, objective=fails)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_an_evaluator_draws_changes_no_step(tmp_path: Path) -> None:
    class Noisy(list):
        def __getitem__(self, number: Any) -> Any:
            sample = super().__getitem__(number)
            return {**sample, "x": sample["x"] + torch.randn(6)}

    def drawing(module: nn.Module) -> dict[str, float]:
        return {"drawn": float(torch.rand(3).sum())}

    found = []
    for evaluate in (None, drawing):
        module = Stranger()
        torch.manual_seed(1)
        train(module, Noisy(rows()), squared_error, BASE, evaluate=evaluate)
        found.append(weights(module))
    assert torch.equal(*found)


def test_parts_that_evaluate_go_on_evaluating() -> None:
    class Frozen(Stranger):
        def __init__(self) -> None:
            super().__init__()
            self.frozen, self.moving = nn.BatchNorm1d(6), nn.BatchNorm1d(6)

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.moving(self.frozen(x)))

    module = Frozen()
    module.frozen.eval()
    done = go(CASES["stranger"], None, module=module)
    assert module.training and module.moving.training and not module.frozen.training
    assert not module.frozen.running_mean.any() and module.moving.running_mean.any()  # type: ignore[union-attr]
    assert any("BatchNorm1d takes its statistics of the rows" in notice for notice in done.notices)
    assert not go(CASES["stranger"], None, replace(BASE, micro_batches=1), module=module).notices
    whole = Frozen().eval()
    go(CASES["stranger"], None, module=whole)  # all of it trains, and is given back as it was
    assert whole.frozen.running_mean.any() and not any(part.training for part in whole.modules())  # type: ignore


def test_a_stopped_run_has_no_figures(tmp_path: Path) -> None:
    from weft.training.report import write_report

    done = go(CASES["stranger"], tmp_path, watch=At(4))
    assert done.figures == {} and "size" in done.progress.evaluation
    page = write_report(tmp_path).read_text()
    assert "stopped before its end at step 4 of 10" in page and "at step 3" in page
    go(CASES["stranger"], tmp_path, resume=True)
    assert "stopped before" not in write_report(tmp_path).read_text()


def test_a_longer_run_says_that_its_rate_rises(tmp_path: Path) -> None:
    go(CASES["stranger"], tmp_path)
    with pytest.raises(ValueError, match=r"has taken 10 steps, and a length of 4 is asked for"):
        go(CASES["stranger"], tmp_path, replace(BASE, steps=4), resume=True)
    done = go(CASES["stranger"], tmp_path, replace(BASE, steps=20), resume=True)
    assert any("steps were 10 and are 20 now: the rate rises again" in notice for notice in done.notices)


def test_waiting_for_rows_is_time_of_the_run() -> None:
    class Slow(list):
        def __getitem__(self, number: Any) -> Any:
            time.sleep(0.01)
            return super().__getitem__(number)

    done = go(CASES["stranger"], None, replace(BASE, steps=5, warmup=0), data=Slow(rows()))
    assert done.progress.seconds >= 5 * 4 * 0.01
    done = go(CASES["stranger"], None, replace(BASE, steps=0, minutes=0.4 / 60, warmup=0), data=Slow(rows()))
    assert done.steps <= 10  # of 0.04 s each at least


# ---------------------------------------------------------------- recomputed activations


@pytest.mark.parametrize("case", CASES)
def test_recomputed_activations_change_not_a_bit(whole: Callable, tmp_path: Path, case: str) -> None:
    module = CASES[case].module(0, 0.1)
    go(CASES[case], tmp_path, replace(BASE, recompute=True), module=module)
    found, expected = traces(tmp_path), traces(whole(case))
    if case == "stranger":  # whose buffer counts forward passes of the module, and those are not computed again
        assert found == expected
    assert found["log"] == expected["log"] and found[AVERAGE] == expected[AVERAGE]
    assert not any("forward" in vars(part) for part in module.modules())


class Normed(nn.Module):
    """Layers with buffers, each in a list of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        parts = [[nn.Linear(6, 6), nn.BatchNorm1d(6)] for _ in range(2)]
        self.layers, self.out = nn.ModuleList(map(nn.ModuleList, parts)), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        for linear, norm in self.layers:  # type: ignore[misc]
            x = torch.relu(norm(linear(x)))
        return self.out(x)


def test_recomputing_changes_no_buffer_and_finds_layers_in_lists_of_lists() -> None:
    plain, again, calls = Normed(), Normed(), list[int]()
    own = again.layers[0][0].forward  # type: ignore[index]
    again.layers[0][0].forward = lambda x: calls.append(1) or own(x)  # type: ignore[index, union-attr]
    settings = replace(BASE, steps=5, average=0.0, evaluate_every=0, micro_batches=1)
    for module, recompute in ((plain, False), (again, True)):
        go(CASES["stranger"], None, replace(settings, recompute=recompute), module=module)
    assert same(module_tensors(again), module_tensors(plain))
    assert len(calls) == 2 * 5  # twice a step


def test_a_layer_gets_its_own_forward_back() -> None:
    called, module = list[str](), Stranger()
    layer, own = module.layers[0], module.layers[0].forward
    layer.forward = lambda x: called.append("own") or own(x)  # as a person may have set it
    before = layer.forward
    go(CASES["stranger"], None, replace(BASE, steps=2, warmup=0, recompute=True), module=module)
    assert layer.forward is before and called
    assert "forward" not in vars(module.layers[1])


def test_compilation_ends_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    made, compile_ = list[str](), nn.Module.compile

    def backend(graph: Any, _: Any) -> Any:
        made.append("graph")
        return graph.forward

    monkeypatch.setattr(nn.Module, "compile", lambda module, **how: compile_(module, backend=backend, **how))
    module = Stranger()
    go(CASES["stranger"], None, replace(BASE, steps=2, warmup=0, compile="on"), module=module)
    during = len(made)
    module(torch.zeros(7, 6))  # so many rows that compiled code would be made anew
    assert during and len(made) == during


def test_a_layer_that_is_used_twice_is_recomputed(tmp_path: Path) -> None:
    class Twice(Stranger):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([self.layers[0]] * 2)

    losses = [
        go(CASES["stranger"], None, replace(BASE, recompute=x), module=Twice()).progress.loss for x in (True, False)
    ]
    assert losses[0] == losses[1]


# ---------------------------------------------------------------- a stranger's mistakes


class Burning(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 9

    def __getitem__(self, number: int) -> Any:
        if number == 7:
            raise OSError("the disk is on fire")
        return rows(9)[number]


MISTAKES: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no samples": (dict(data=[]), ValueError, "the dataset has no samples"),
    "a loader": (dict(data=torch.utils.data.DataLoader(rows())), ValueError, r"DataLoader .* give its .dataset"),  # type: ignore[arg-type]
    "a mapping": (dict(data={"x": 1}), ValueError, "one element each, not as a dict"),
    "a text": (dict(data="text"), ValueError, "one element each, not as a str"),
    "a function": (dict(data=rows), ValueError, "one element each, not as a function"),
    "a burning disk": (dict(data=Burning(), settings=replace(BASE, workers=3)), OSError, "on fire"),
    "a mean": (dict(objective=lambda m, b: squared_error(m, b).mean()), ValueError, r"shape \[\] for 2 rows"),
    "a float": (dict(objective=lambda m, b: 1.0), ValueError, "gave 1.0 for 2 rows"),
    "a cut graph": (dict(objective=lambda m, b: squared_error(m, b).detach()), ValueError, "no trainable parameter"),
    "no weights": (dict(module=Stranger().to("meta")), ValueError, "meta device"),
    "frozen": (dict(module=Stranger().requires_grad_(False)), ValueError, "unfreeze some"),
    "a figure without a name": (dict(evaluate=lambda m: 1.0), ValueError, "evaluator gave 1.0; .* figures by name"),
    "no figures": (dict(evaluate=lambda m: None), ValueError, "evaluator gave None"),
    "layers unheard of": (
        dict(module=nn.Linear(6, 2), settings=replace(BASE, recompute=True)),
        ValueError,
        "none: set it to false",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(tmp_path: Path, name: str) -> None:
    given, kind, words = MISTAKES[name]
    parts = dict(module=Stranger(), data=rows(), objective=squared_error, settings=BASE, out=tmp_path) | given
    with pytest.raises(kind, match=words):
        train(**parts)


def test_other_data_is_another_run(tmp_path: Path) -> None:
    go(CASES["stranger"], tmp_path, watch=At(3))
    with pytest.raises(ValueError, match="started with 37 samples, and there are 38 now"):
        go(CASES["stranger"], tmp_path, data=rows(38), resume=True)
    with pytest.raises(ValueError, match="average was 0.9 .* and is 0.8 now, which makes it another run"):
        go(CASES["stranger"], tmp_path, replace(BASE, average=0.8), resume=True)


def test_a_finished_run_is_finished(whole: Callable, tmp_path: Path) -> None:
    out = copytree(whole("llama"), tmp_path / "run")
    before = traces(out)
    module = CASES["llama"].module(9, 0.1)
    done = go(CASES["llama"], str(out), module=module, resume=True)  # type: ignore[arg-type]
    assert done.progress.step == done.steps == 10 and traces(out) == before
    settled = read_tensors(out / "checkpoints" / "step-00000010" / AVERAGE)
    assert all(torch.equal(parameter, settled[name]) for name, parameter in trainable(module).items())
