"""Two processes give what one gives: DDP and FSDP2 over gloo, on the CPU. What they do is in processes.py."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from counting import SAMPLES, Samples
from processes import BASE, LLAMA, OPTIMISERS, PARALLEL, cut, go, language_model
from torch import Tensor
from torch.distributed.checkpoint import load
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

from weft.data.order import place
from weft.files import DamagedFile, write_tensors
from weft.training import checkpoints
from weft.training.checkpoints import AVERAGE, MODEL, OPTIMISER
from weft.training.log import read
from weft.training.sharded import Shards
from weft.training.watch.record import MEASURED
from weft.training.world import ALONE, Elsewhere, World

PATIENCE = 100  # seconds for all that two processes do here; it takes 15 on an idle machine
both = pytest.mark.parametrize("parallel", PARALLEL)
every = pytest.mark.parametrize("optimiser", OPTIMISERS)


def start(*words: object) -> list[subprocess.Popen[str]]:
    """Two processes of processes.py, as torchrun would start them; warnings are errors in them too."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {
        **os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }  # fmt: skip
    program = [sys.executable, "-W", "error", Path(__file__).with_name("processes.py"), *map(str, words)]
    return [
        subprocess.Popen(program, env={**common, "RANK": rank, "LOCAL_RANK": rank}, stderr=subprocess.PIPE, text=True)
        for rank in "01"
    ]


def finish(children: list[subprocess.Popen[str]], patience: float) -> list[tuple[int, str]]:
    """Exit codes and errors of both; a failure where one is not done in time."""
    deadline = time.monotonic() + patience
    try:
        errors = [child.communicate(timeout=max(0.1, deadline - time.monotonic()))[1] for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    return [(child.returncode, error) for child, error in zip(children, errors, strict=True)]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process gives, without dropout."""
    folder = tmp_path_factory.mktemp("one")
    for optimiser in OPTIMISERS:
        go(folder / optimiser, replace(BASE, optimiser=optimiser))
    go(folder / "bare", BASE, Samples(lambda index: index % 3 != 0))
    return folder


@pytest.fixture(scope="module")
def two(one: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of everything that two processes have done."""
    folder = tmp_path_factory.mktemp("two")
    for parallel in PARALLEL:
        for optimiser in OPTIMISERS:
            cut(one / optimiser, folder / f"{parallel}-{optimiser}-from-one")
        cut(one / "adamw", folder / f"{parallel}-noise-from-one")
    for code, error in finish(start("all", folder), PATIENCE):
        assert code == 0 and not error, error
    return folder


@pytest.fixture(scope="module")
def said(two: Path) -> list[dict[str, Any]]:
    """What each process noted."""
    return [json.loads((two / f"said-{rank}.json").read_text()) for rank in range(2)]


def lines(run: Path) -> list[dict[str, Any]]:
    """A run's log without its clock."""
    return [{name: value for name, value in line.items() if name not in MEASURED} for line in read(run / "log.jsonl")]


def tensors(run: Path, step: int = BASE.steps) -> dict[str, dict[str, Tensor]]:
    """All tensors of a run's checkpoint, whole."""
    path = run / "checkpoints" / checkpoints.folder_name(step)
    checkpoints.verify(path)
    return {part: dict(checkpoints.read(path, part)) for part in (MODEL, OPTIMISER, AVERAGE)}


def flat(line: dict[str, Any]) -> dict[str, float]:
    """A line's numbers, those of its terms and evaluation too."""
    nested = {name: value for part in ("terms", "evaluation") for name, value in line.get(part, {}).items()}
    return nested | {name: value for name, value in line.items() if name not in ("terms", "evaluation")}


def assert_close(run: Path, other: Path) -> None:
    """T2, T6: the loss and every logged figure to 1e-6, the weights (averaged ones too) to 2e-6."""
    mine, theirs = lines(run), lines(other)
    assert len(mine) == len(theirs) == BASE.steps + 3
    for line, expected in zip(mine, theirs, strict=True):
        assert flat(line) == pytest.approx(flat(expected), abs=1e-6)
    for part, found in tensors(run).items():
        expected = tensors(other)[part]
        assert found.keys() == expected.keys()
        for name, tensor in found.items():
            if part != OPTIMISER and name != "seen":
                assert (tensor - expected[name]).abs().max() <= 2e-6, (part, name)


def assert_same(run: Path, other: Path) -> None:
    """T1: every bit of tensors, progress, generator and log, but the clock."""
    assert lines(run) == lines(other)
    for part, found in tensors(run).items():
        expected = tensors(other)[part]
        assert found.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())
    mine, theirs = (checkpoints.latest(path) for path in (run, other))
    assert mine is not None and theirs is not None
    assert mine.state["generators"] == theirs.state["generators"]
    assert {**mine.state["progress"], "seconds": 0} == {**theirs.state["progress"], "seconds": 0}


# ---------------------------------------------------------------- T2, T6, T7: the same as one process


@both
@every
def test_two_processes_give_what_one_gives(one: Path, two: Path, said: list, parallel: str, optimiser: str) -> None:
    name = f"{parallel}-{optimiser}"
    assert_close(two / f"{name}-even", one / optimiser)
    drawn = [said[rank][f"{name}-drawn"] for rank in range(2)]
    order = [sample for parts in zip(*drawn, strict=True) for rows in parts for sample in rows]
    assert order == [place(position, SAMPLES, BASE.seed).sample for position in range(BASE.steps * BASE.batch)]
    assert said[0][f"{name}-result"] == said[1][f"{name}-result"]


@both
@every
def test_a_checkpoint_of_one_process_is_resumed_by_two(one: Path, two: Path, parallel: str, optimiser: str) -> None:
    assert_close(two / f"{parallel}-{optimiser}-from-one", one / optimiser)


@both
@every
def test_a_checkpoint_of_two_processes_is_resumed_by_one(
    one: Path, two: Path, tmp_path: Path, parallel: str, optimiser: str
) -> None:
    out = cut(two / f"{parallel}-{optimiser}-even", tmp_path / "run")
    result = go(out, replace(BASE, optimiser=optimiser), seed=1, resume=True)
    assert_close(out, one / optimiser)
    assert any("processes were 2 and are 1 now" in notice for notice in result.notices)


@pytest.mark.parametrize("way", ["ddp-to-fsdp", "fsdp-to-ddp"])
def test_shares_become_wholes_and_wholes_shares(one: Path, two: Path, way: str) -> None:
    assert_close(two / way, one / "adamw")


@both
def test_processes_without_labels(one: Path, two: Path, said: list, parallel: str) -> None:
    counted = {sample for sample in range(SAMPLES) if sample % 3 == 0}
    drawn = [[not counted & set(rows) for rows in said[rank]["ddp-adamw-drawn"]] for rank in range(2)]
    assert any(mine and not other for mine, other in zip(*drawn, strict=True))  # there was such a micro-batch
    assert_close(two / f"{parallel}-bare", one / "bare")
    for rank in range(2):
        loss, notices = said[rank][f"{parallel}-empty"]
        assert loss is None and notices[0].startswith("step 1 is skipped") and "31, 22, 29, 28; samples" in notices[0]


# ---------------------------------------------------------------- T1: the same bits after a stop


@both
@every
def test_a_stop_asked_of_one_process_stops_both(two: Path, said: list, parallel: str, optimiser: str) -> None:
    name = f"{parallel}-{optimiser}"
    for rank in range(2):
        interrupted, step, notices = said[rank][f"{name}-stopped"]
        assert interrupted and step not in (4, 8) and notices == [f"resumed at step {step}"]
    assert_same(two / f"{name}-stopped", two / f"{name}-whole")


@both
def test_processes_draw_noise_of_their_own_and_draw_it_again(two: Path, said: list, parallel: str) -> None:
    assert_same(two / f"{parallel}-noise-stopped", two / f"{parallel}-noise-whole")
    for kind in range(2):  # from the beginning, and from the checkpoint of one process
        mine, other = (one[f"{parallel}-noise"][kind] for one in said)
        assert len(mine) == len(other) and not set(mine) & set(other)
    assert any("a data set's noise draw anew" in notice for notice in said[0][f"{parallel}-noise"][2])


def test_a_process_that_is_killed_takes_the_other_with_it(two: Path, tmp_path: Path) -> None:
    (left, error), (gone, _) = finish(start("killed", tmp_path), 60)
    assert gone == -signal.SIGKILL and left not in (0, -signal.SIGKILL) and "has left without a word" in error
    found = checkpoints.latest(tmp_path / "killed")
    assert found is not None and 2 <= found.step < BASE.steps


# ---------------------------------------------------------------- T3, T4, T8: what goes wrong on one process


@both
def test_a_failure_on_one_process_is_said_by_both(two: Path, said: list, parallel: str) -> None:
    words = r"Diverged: step 4: the loss is nan"
    assert said[0][f"{parallel}-nan"] == said[1][f"{parallel}-nan"]
    assert said[0][f"{parallel}-nan"].startswith(words) and "for samples 4, 34;" in said[0][f"{parallel}-nan"]
    good = checkpoints.latest(two / f"{parallel}-failed")
    assert good is not None and good.step == 2 and not good.notices
    first, second = ({name: one[f"{parallel}-{name}"] for name in ("read", "infinite", "full")} for one in said)
    assert first["read"] == "Elsewhere: process 1: RuntimeError: the machine went away"
    assert second["read"] == "RuntimeError: the machine went away"
    assert first["infinite"].startswith("Elsewhere: process 1: Diverged: step 2: unused holds")
    assert second["infinite"].startswith("Diverged: step 2: unused holds")
    assert first["full"].startswith("SaveFailed: ") and "No space left on device; there was none" in first["full"]
    assert second["full"].startswith("Elsewhere: process 0: ") and "No space left on device" in second["full"]
    assert not (two / f"{parallel}-full" / "checkpoints").exists()


@both
def test_what_the_main_process_does_alone_fails_on_both(two: Path, said: list, parallel: str) -> None:
    words = "SaveFailed: the log cannot be written"
    assert [one[f"{parallel}-unlogged"] for one in said] == [words, f"Elsewhere: process 0: {words}"]
    found = checkpoints.latest(two / f"{parallel}-unlogged")
    assert found is not None and found.step == 2  # none that claims lines which are not there


@both
def test_an_iterable_is_not_shared_out(said: list, parallel: str) -> None:
    for one in said:
        assert one[f"{parallel}-iterable"].startswith("ValueError: an iterable is read once, from its beginning, and")


@both
def test_a_damaged_checkpoint_is_refused_by_both(one: Path, two: Path, said: list, parallel: str) -> None:
    for rank in range(2):
        notices = said[rank][f"{parallel}-damaged"]
        assert "step-00000008 is refused" in notices[0] and "optimiser" in notices[0]
        assert "the last good checkpoint is step-00000004" in notices[1] and notices[-1] == "resumed at step 4"
        assert "no checkpoint in" in said[rank][f"{parallel}-all-damaged"]


# ---------------------------------------------------------------- T10, and weft's own parts


@both
def test_a_language_model_and_its_evaluation(two: Path, said: list, tmp_path: Path, parallel: str) -> None:
    alone = language_model(tmp_path / "alone", LLAMA)
    for rank in range(2):
        found = said[rank][f"{parallel}-llama"]
        assert found["figures"]["tokens"] == alone["figures"]["tokens"] == 16 * 9 + 4
        assert found["figures"]["nats"] == pytest.approx(alone["figures"]["nats"], rel=1e-6)
        assert found["own"] == pytest.approx(found["figures"]["nats"], rel=1e-6)
        assert found["checkpoint"].endswith("step-00000004")
    losses, expected = (
        [x["loss"] for x in lines(run) if "loss" in x] for run in (two / f"{parallel}-llama", tmp_path / "alone")
    )
    assert losses == pytest.approx(expected, abs=1e-6)


@both
def test_minutes_and_the_mean_of_the_last(one: Path, two: Path, said: list, tmp_path: Path, parallel: str) -> None:
    assert said[0][f"{parallel}-minutes"] == said[1][f"{parallel}-minutes"] >= 1
    tried = lines(two / f"{parallel}-minutes")[0]
    assert tried["loss"] == pytest.approx(lines(one / "adamw")[0]["loss"], abs=1e-6)
    expected = go(tmp_path, replace(BASE, average=0.0, last=2)).figures
    assert said[0][f"{parallel}-last"] == said[1][f"{parallel}-last"] == pytest.approx(expected, abs=1e-6)


# ---------------------------------------------------------------- the files of shares


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_shares_are_safetensors_that_torch_reads_too(two: Path) -> None:
    path = two / "fsdp-adamw-even" / "checkpoints" / "step-00000008"
    names = [
        f"{part}/shard-0000{n}-model-00001-of-00001.safetensors"
        for part in ("average", "model", "optimiser")
        for n in (1, 2)
    ]
    found = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    assert found == [*names, "state.json"]  # no pickled index among them
    mine = checkpoints.read(path, OPTIMISER)
    theirs = {name: torch.zeros_like(tensor) for name, tensor in mine.items()}
    load(theirs, storage_reader=HuggingFaceStorageReader(str(path / "optimiser")), no_dist=True)
    assert len(mine) == len(theirs) > 10 and all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_missing_or_foreign_share_is_refused(two: Path, tmp_path: Path) -> None:
    path = tmp_path / "step-00000008"
    shutil.copytree(two / "fsdp-adamw-even" / "checkpoints" / path.name, path)
    checkpoints.verify(path)
    shares = path / "model"
    extra = shutil.copy(
        shares / "shard-00002-model-00001-of-00001.safetensors", shares / "shard-00003-model-00001-of-00001.safetensors"
    )
    with pytest.raises(DamagedFile, match=r"shard-00003-.*: its sha256 is not"):
        checkpoints.verify(path)
    Path(extra).rename(shares / "more.safetensors")
    with pytest.raises(DamagedFile, match=r"model/more\.safetensors is no file of a checkpoint"):
        checkpoints.verify(path)
    (shares / "more.safetensors").unlink()
    (shares / "shard-00001-model-00001-of-00001.safetensors").unlink()
    with pytest.raises(DamagedFile, match=r"shard-00001-.*: missing"):
        checkpoints.verify(path)
    with pytest.raises(DamagedFile, match=r"the shares of embed\.weight hold \d+ numbers of"):
        checkpoints.read(path, MODEL)["embed.weight"]
    write_tensors(shares / "shard-00002-model-00001-of-00001.safetensors", {"embed.weight": torch.zeros(3)})
    with pytest.raises(DamagedFile, match="does not say which parts"):
        Shards(shares)


# ---------------------------------------------------------------- alone


def test_alone_nothing_is_said_to_anybody() -> None:
    assert ALONE.gather(3) == [3] and ALONE.sum([1.5, 2]) == [1.5, 2] and ALONE.apart() is ALONE
    with pytest.raises(KeyError, match="mine"):
        ALONE.agreed(lambda: {}["mine"])
    assert issubclass(Elsewhere, ValueError) and World(1, 2).main is False
