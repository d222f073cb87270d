"""The training loop, held to its contracts with a stranger's module, dataset and objective."""

import errno
import itertools
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from counting import LENGTH, SAMPLES, VOCAB, WIDTH, Next, Samples, Term, at
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from weft.batch import Batch, Place
from weft.outputs import locked
from weft.recipes import begin, find
from weft.training import checkpoints, precision, step, strangers
from weft.training.checkpoints import SaveFailed
from weft.training.log import Log, read
from weft.training.loop import Result, train
from weft.training.muon import Muon, orthogonalise
from weft.training.objective import Diverged
from weft.training.optimisers import Groups, build_optimiser, groups, trainable
from weft.training.reader import draw
from weft.training.report import write_report
from weft.training.schedule import rate_factor
from weft.training.settings import TrainSettings
from weft.training.watch import MEASURED, Watcher
from weft.training.world import ALONE, World


class Stranger(nn.Module):
    """Knows nothing of weft: plain torch parts, dropout, a buffer, a tied head and a parameter that is never used."""

    def __init__(self, seed: int = 0, dropout: float = 0.2):
        super().__init__()
        torch.manual_seed(seed)
        self.embed = nn.Embedding(VOCAB, WIDTH)
        self.first, self.second = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.norm, self.dropout = nn.LayerNorm(WIDTH), nn.Dropout(dropout)
        nn.init.normal_(self.embed.weight, std=0.1)
        self.head = nn.Linear(WIDTH, VOCAB, bias=False)
        self.head.weight = self.embed.weight
        self.unused = nn.Parameter(torch.randn(3, 4))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        if self.training:
            self.seen += 1  # pyright: ignore[reportOperatorIssue, reportArgumentType]
        x = self.embed(tokens)
        x = self.norm(x + self.second(self.dropout(torch.relu(self.first(x)))))
        return self.head(self.dropout(x))


BASE = TrainSettings(
    steps=12, batch=8, rate=1e-2, warmup=3, threads=1, precision="fp32", checkpoint_every=4, evaluate_every=5, seed=3
)


def score(module: nn.Module) -> dict[str, float]:
    """An evaluator that is careless with the default generator."""
    assert not module.training and not torch.is_grad_enabled()
    return {"loss": float(next(module.parameters()).square().sum() + torch.rand(())), "huge": float("inf")}


def go(
    out: Path | None,
    module: nn.Module | None = None,
    data: Samples | None = None,
    s: TrainSettings = BASE,
    *,
    resume: bool = False,
) -> Result:
    module, data = module or Stranger(), data or Samples()
    return train(module, data, Next(), s, out, evaluate=score, resume=resume)


def everything(folder: Path) -> tuple[dict[str, bytes], list[dict]]:
    """All that must be equal bit for bit: tensors' bytes, progress, generator; and the log without its clock."""
    found = checkpoints.latest(folder)
    assert found is not None
    files = {name: (found.path / name).read_bytes() for name in checkpoints.TENSOR_FILES}
    progress = {key: value for key, value in found.state["progress"].items() if key != "seconds"}
    files["state"] = json.dumps([progress, found.state["generators"], found.state["step"]]).encode()
    return files, [{k: v for k, v in line.items() if k not in MEASURED} for line in read(folder / "log.jsonl")]


def crash() -> None:
    raise RuntimeError("the machine went away")


# ---------------------------------------------------------------- T1: the same bits after a stop


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
@pytest.mark.parametrize("kind", ["fp32", "bf16"])
def test_resuming_gives_the_same_bits(tmp_path: Path, optimiser: str, kind: str) -> None:
    s = replace(BASE, optimiser=optimiser, precision=kind, micro_batches=2)
    whole = go(tmp_path / "whole", s=s)
    assert whole.progress.step == 12 and not whole.interrupted

    out = tmp_path / "crashed"  # mid-accumulation, two steps after the last checkpoint
    with pytest.raises(RuntimeError, match="went away"):
        go(out, data=Samples(before=at(14, crash)), s=s)
    assert len(read(out / "log.jsonl")) > 4
    torch.manual_seed(99)
    go(out, Stranger(seed=1), s=s, resume=True)
    assert everything(out) == everything(tmp_path / "whole")

    out = tmp_path / "asked"  # Ctrl-C in the middle of a step
    stopped = go(out, data=Samples(before=at(12, lambda: os.kill(os.getpid(), signal.SIGINT))), s=s)
    assert stopped.interrupted and stopped.progress.step not in (4, 8, 12) and "--resume" in stopped.notices[-1]
    resumed = go(out, Stranger(seed=1), s=s, resume=True)
    assert f"resumed at step {stopped.progress.step}" in resumed.notices
    assert everything(out) == everything(tmp_path / "whole")


def test_dropout_is_really_on_and_differs_between_steps() -> None:
    drawn = []
    model = Stranger(dropout=0.5)
    model.dropout.register_forward_hook(lambda _, __, y: drawn.append((y == 0).clone()))
    train(model, Samples(), Next(), replace(BASE, steps=2, warmup=0))
    assert drawn[0].any() and not torch.equal(drawn[0], drawn[2])
    assert step.noise_seed(0, 1, 0) != step.noise_seed(0, 0, 1)


def test_resume_refuses_another_run(tmp_path: Path) -> None:
    s = replace(BASE, steps=4, evaluate_every=0)
    assert "starting at the beginning" in go(tmp_path, s=s, resume=True).notices[0]
    with pytest.raises(ValueError, match="at step 4; resume"):
        go(tmp_path, s=s)
    with pytest.raises(ValueError, match=r"rate was 0.01 .* is 0.02 now"):
        go(tmp_path, s=replace(s, rate=0.02), resume=True)
    with pytest.raises(ValueError, match="decisions"):
        train(Stranger(), Samples(), Next(), s, tmp_path, resume=True, decisions={"kernel": "matmul"})
    with pytest.raises(ValueError, match="no folder"):
        go(None, s=s, resume=True)
    with pytest.raises(ValueError, match="lacks bias, weight"):
        go(tmp_path, nn.Linear(2, 2), s=s, resume=True)
    assert go(tmp_path, s=s, resume=True).progress.step == 4  # finished: nothing to do, nothing broken
    longer = go(tmp_path, s=replace(s, steps=6), resume=True)
    assert longer.progress.step == 6 and any("steps was 4 and is 6" in notice for notice in longer.notices)


# ---------------------------------------------------------------- T2, T6, T7, T14: what a step is made of


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("bare", [lambda index: False, lambda index: index % 3 == 0])
def test_ragged_micro_batches_equal_one_batch(tmp_path: Path, bare: Callable[[int], bool]) -> None:
    found = []
    for parts in (1, 4, 8):
        model = Stranger(dropout=0.0)
        go(tmp_path / str(parts), model, Samples(bare), replace(BASE, micro_batches=parts, optimiser="adamw"))
        found.append((weights(model), [x["loss"] for x in read(tmp_path / str(parts) / "log.jsonl") if "loss" in x]))
    for other, losses in found[1:]:
        assert (other - found[0][0]).abs().max() <= 1e-6
        assert losses == pytest.approx(found[0][1], abs=1e-6)


def test_every_sample_once_an_epoch_whatever_the_parts() -> None:
    orders = []
    for parts in (1, 2, 8):
        s = replace(BASE, micro_batches=parts)
        batches = [batch for position in range(0, 2 * 8 * SAMPLES, 8) for batch in draw(Samples(), position, s, ALONE)]
        orders.append([sample for batch in batches for sample in batch.samples])
    assert orders[0] == orders[1] == orders[2]
    for epoch in range(16):  # 37 rows do not divide by 8: steps straddle epochs
        assert sorted(orders[0][epoch * SAMPLES : (epoch + 1) * SAMPLES]) == list(range(SAMPLES))
    assert orders[0][:SAMPLES] != orders[0][SAMPLES : 2 * SAMPLES]


def test_a_step_without_labels_is_skipped_and_said_so(tmp_path: Path) -> None:
    model = Stranger()
    before = weights(model)
    done = go(tmp_path, model, Samples(lambda index: True), replace(BASE, steps=2, warmup=0))
    assert torch.equal(weights(model), before) and done.progress.loss is None
    assert any("step 1 is skipped" in notice and "samples " in notice for notice in done.notices)
    assert [line["loss"] for line in read(tmp_path / "log.jsonl")[:2]] == [None, None]


def test_an_objective_must_count_what_it_said() -> None:
    class Liar(Next):
        def losses(self, module: nn.Module, batch: Batch) -> dict[str, Term]:
            return {"next": super().losses(module, batch)["next"]}

    with pytest.raises(ValueError, match="the objective's losses count"):
        train(Stranger(), Samples(), Liar(), BASE)


def test_a_dataset_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="the dataset has no samples"):
        train(Stranger(), Samples(size=0), Next(), BASE)


# ---------------------------------------------------------------- T8: not finite


def poisoned(after: int, spoil: Callable[[Tensor], Tensor]) -> Next:
    """From the `after`-th forward pass on, loss or gradient is spoiled."""
    calls = itertools.count(1)
    return Next(lambda total: spoil(total) if next(calls) >= after else total)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda x: x * float("nan"), r"step 5: the loss is nan \(next nan, size [0-9.]+\) for samples \d+, \d+"),
        (lambda x: x + (x - x.detach()).abs().sqrt(), r"step 5: the gradient's norm is (nan|inf) for samples"),
    ],
)
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path, spoil: Callable, words: str) -> None:
    with pytest.raises(Diverged, match=words):
        train(Stranger(), Samples(), poisoned(5, spoil), replace(BASE, checkpoint_every=1, keep=1), tmp_path)
    good = checkpoints.latest(tmp_path)
    assert good is not None and good.step == 4 and not good.notices


def test_weights_that_are_not_finite_never_push_a_checkpoint_out(tmp_path: Path) -> None:
    s = replace(BASE, checkpoint_every=1, keep=1)
    model = Stranger()

    def spoil() -> None:
        model.unused.data.fill_(float("inf"))

    with pytest.raises(Diverged, match="step 3: unused holds"):
        train(model, Samples(before=at(3, spoil)), Next(), s, tmp_path)
    good = checkpoints.latest(tmp_path)
    assert good is not None and good.step == 2


# ---------------------------------------------------------------- T9: groups


class Table(nn.Module):
    table = True

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.gain = nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.ones(4))


def test_every_parameter_is_in_one_group() -> None:
    stranger, conv = Stranger(), nn.Conv1d(4, 4, 3)
    model = nn.ModuleDict({"stranger": stranger, "table": Table(), "conv": conv, "norm": nn.LayerNorm([3, 4])})
    conv.register_parameter("bias_u", nn.Parameter(torch.zeros(2, 2)))
    stranger.second.weight.requires_grad_(False)
    found = groups(model)
    assert set(found.tables) == {"stranger.embed.weight", "table.weight"}  # the tied head is the embedding's
    assert set(found.matrices) == {"stranger.first.weight", "stranger.unused", "conv.weight"}
    assert set(found.matrices) | set(found.tables) | set(found.vectors) == set(trainable(model))
    assert {"stranger.norm.weight", "norm.weight"} <= set(found.vectors)
    optimiser = build_optimiser(model, replace(BASE, optimiser="muon"))
    decays = {
        id(parameter): group["weight_decay"]
        for part in optimiser.parts
        for group in part.param_groups
        for parameter in group["params"]
    }
    assert len(decays) == sum(len(group["params"]) for part in optimiser.parts for group in part.param_groups)
    for name, parameter in trainable(model).items():
        assert decays[id(parameter)] == (0.0 if name in found.vectors else BASE.weight_decay)


def test_what_has_one_long_side_is_a_vector() -> None:
    model = nn.ParameterDict(
        {"class_token": torch.zeros(1, 1, 4), "gain": torch.ones(4, 1), "places": torch.ones(1, 3, 4)}
    )
    model["scaled"] = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4, bias=False))  # a gain [4, 1], a direction
    found = groups(model)
    assert set(found.vectors) == {"class_token", "gain", "scaled.parametrizations.weight.original0"}
    assert set(found.matrices) == {"places", "scaled.parametrizations.weight.original1"}
    assert set(groups(nn.EmbeddingBag(5, 4)).tables) == {"weight"}


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (lambda: nn.LazyLinear(3), "weight has no shape yet: pass a batch"),
        (lambda: nn.Linear(2, 2, dtype=torch.complex64), "weight is torch.complex64, and only real"),
        (lambda: nn.Sequential(nn.Embedding(5, 4, sparse=True)), "0 is made with sparse=True"),
    ],
)
def test_parameters_that_no_optimiser_updates_are_named(module: Callable[[], nn.Module], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        train(module(), Samples(), Next(), BASE)


def test_a_parameter_in_none_or_two_groups_is_named() -> None:
    model = nn.Linear(2, 2)
    weight, bias = dict(model.named_parameters()).values()
    with pytest.raises(ValueError, match="bias is in no group"):
        Groups({"weight": weight}, {}, {}).check(model)
    with pytest.raises(ValueError, match="weight is in two"):
        Groups({"weight": weight}, {"weight": weight}, {"bias": bias}).check(model)
    with pytest.raises(ValueError, match="no trainable parameter"):
        build_optimiser(model.requires_grad_(False), BASE)


def test_optimiser_state_is_named_and_strict() -> None:
    model = Stranger()
    optimiser = build_optimiser(model, replace(BASE, optimiser="muon"))
    model(torch.zeros(1, 3, dtype=torch.int64)).square().sum().backward()
    optimiser.step()
    tensors = optimiser.tensors()
    assert {"first.weight/momentum", "embed.weight/exp_avg", "norm.bias/step"} <= set(tensors)
    assert [name for name in tensors if name.startswith("unused")] == ["unused/untouched"]  # it has had no gradient
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    for change, words in (
        ({"nobody/exp_avg": torch.zeros(1)}, "'nobody' belongs to no"),
        ({"first.weight/exp_avg": torch.zeros(1)}, "first.weight holds exp_avg, momentum where momentum is"),
        ({"first.weight/momentum": torch.zeros(1)}, r"first.weight/momentum has shape \(1,\), expected \(32, 16\)"),
    ):
        with pytest.raises(ValueError, match=words):
            optimiser.load(kept | {"second.weight/momentum": torch.ones(16, 32)} | change)
    with pytest.raises(ValueError, match="state lacks second.weight: trainable now, and not when"):
        optimiser.load({name: tensor for name, tensor in kept.items() if "second.weight" not in name})
    found = optimiser.tensors()
    assert found.keys() == kept.keys() and all(torch.equal(tensor, kept[name]) for name, tensor in found.items())


def test_what_is_unfrozen_before_a_resume_is_refused(tmp_path: Path) -> None:
    frozen = Stranger()
    frozen.second.weight.requires_grad_(False)
    go(tmp_path, frozen, s=replace(BASE, steps=4))
    with pytest.raises(ValueError, match="state lacks second.weight: trainable now"):
        go(tmp_path, Stranger(seed=1), s=replace(BASE, steps=8), resume=True)
    again = Stranger(seed=1)
    again.second.weight.requires_grad_(False)
    assert go(tmp_path, again, s=replace(BASE, steps=8), resume=True).progress.step == 8


def test_a_checkpoint_that_does_not_fit_changes_nothing(run_folder: Path, tmp_path: Path) -> None:
    module = Stranger(seed=1)
    before = {name: tensor.clone() for name, tensor in checkpoints.module_tensors(module).items()}

    def unchanged() -> bool:
        found = checkpoints.module_tensors(module)
        return all(torch.equal(tensor, before[name]) for name, tensor in found.items())

    *_, last = before
    given = {name: torch.ones_like(tensor) for name, tensor in before.items()} | {last: torch.ones(2, 2)}
    with pytest.raises(ValueError, match=rf"{last} is torch.float32 \[2, 2\], the model's is torch"):
        checkpoints.load_module(module, given, "these")
    assert unchanged()
    found = checkpoints.latest(run_folder)
    assert found is not None
    with pytest.raises(ValueError, match="written with another optimiser setting"):  # its weights would fit
        found.restore(module, build_optimiser(module, replace(BASE, optimiser="muon")))
    assert unchanged()
    found.restore(module, build_optimiser(module, BASE))
    assert not unchanged()


# ---------------------------------------------------------------- T11: the schedule


def test_schedule() -> None:
    s = TrainSettings(steps=110, warmup=10, floor=0.1)
    assert rate_factor(0, 110, s) == pytest.approx(1 / 11)
    assert rate_factor(9, 110, s) == pytest.approx(10 / 11)
    assert rate_factor(10, 110, s) == 1
    assert rate_factor(60, 110, s) == pytest.approx(0.55)
    assert rate_factor(110, 110, s) == rate_factor(500, 110, s) == pytest.approx(0.1)
    assert rate_factor(35, 110, replace(s, schedule="linear")) == pytest.approx(0.775)
    assert rate_factor(100, 110, replace(s, schedule="constant")) == 1
    factors = [rate_factor(k, 110, s) for k in range(110)]
    assert factors.index(1.0) == 10 and factors[10:] == sorted(factors[10:], reverse=True)
    assert rate_factor(0, 110, replace(s, warmup=0)) == 1
    stable = [rate_factor(k, 110, replace(s, schedule="wsd", cooldown=0.2)) for k in range(111)]
    assert stable[10:89] == [1.0] * 79 and stable[99] == pytest.approx(0.55) and stable[110] == pytest.approx(0.1)
    root = [rate_factor(k, 110, replace(s, schedule="inverse_sqrt")) for k in range(111)]
    assert root[9] == pytest.approx(10 / 11) and root[10] == 1 and root[40] == pytest.approx(0.5)


def test_the_rate_does_not_depend_on_accumulation(tmp_path: Path) -> None:
    for parts in (1, 4):
        go(tmp_path / str(parts), s=replace(BASE, micro_batches=parts))
    one, four = ([x.get("rate") for x in read(tmp_path / name / "log.jsonl")] for name in ("1", "4"))
    assert one == four and one[0] == BASE.rate * rate_factor(0, BASE.steps, BASE)


# ---------------------------------------------------------------- T3, T4: damaged files, full disks


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    go(out)
    return out


def test_keeps_the_newest(run_folder: Path) -> None:
    assert [path.name for path in checkpoints.steps(run_folder / "checkpoints")] == ["step-00000012", "step-00000008"]


@pytest.mark.parametrize("name", ["state.json", "model.safetensors", "optimiser.safetensors"])
@pytest.mark.parametrize("damage", ["first", "middle", "last", "cut", "longer", "empty", "gone"])
def test_a_damaged_checkpoint_is_refused_and_the_last_good_one_chosen(run_folder: Path, name: str, damage: str) -> None:
    file = run_folder / "checkpoints" / "step-00000012" / name
    whole = file.read_bytes()
    place = {"first": 0, "middle": len(whole) // 2, "last": len(whole) - 1}.get(damage, 0)
    flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    damaged = {"cut": whole[:-9], "longer": whole + b" ", "empty": b""}.get(damage, flipped)
    try:
        file.unlink() if damage == "gone" else file.write_bytes(damaged)
        found = checkpoints.latest(run_folder)
    finally:
        file.write_bytes(whole)
    assert found is not None and found.step == 8 and found.refused == (file.parent,)
    assert "step-00000012 is refused" in found.notices[0] and name in found.notices[0]
    assert "the last good checkpoint is step-00000008" in found.notices[1]


def test_any_byte_of_the_state_counts(run_folder: Path) -> None:
    folder = run_folder / "checkpoints" / "step-00000012"
    whole = (folder / "state.json").read_bytes()
    try:
        for place in range(0, len(whole), max(1, len(whole) // 300)):
            (folder / "state.json").write_bytes(whole[:place] + bytes([whole[place] ^ 41]) + whole[place + 1 :])
            with pytest.raises(ValueError, match=r"state\.json"):
                checkpoints.verify(folder)
    finally:
        (folder / "state.json").write_bytes(whole)


def test_resuming_past_damage_gives_the_same_bits(tmp_path: Path) -> None:
    go(tmp_path / "whole")
    go(tmp_path / "hurt")
    file = tmp_path / "hurt" / "checkpoints" / "step-00000012" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    done = go(tmp_path / "hurt", Stranger(seed=1), resume=True)
    assert everything(tmp_path / "hurt") == everything(tmp_path / "whole")
    assert any("kept as refused-step-00000012" in notice for notice in done.notices)
    for path in checkpoints.steps(tmp_path / "hurt" / "checkpoints"):
        (path / "state.json").unlink()
    with pytest.raises(ValueError, match="no checkpoint in .* is good"):
        go(tmp_path / "hurt", resume=True)


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = checkpoints.write_tensors

    def full(path: Path, tensors: dict[str, Tensor]) -> None:
        if "step-00000008" in str(path) and path.name == "optimiser.safetensors":
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written(path, tensors)

    monkeypatch.setattr(checkpoints, "write_tensors", full)
    with pytest.raises(SaveFailed, match="No space left on device; step-00000004 before it is intact"):
        go(tmp_path)
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000004"]
    go(tmp_path, Stranger(seed=1), resume=True)
    go(tmp_path / "whole")
    assert everything(tmp_path) == everything(tmp_path / "whole")


def test_a_full_disk_under_the_log_is_said_so(tmp_path: Path) -> None:
    with (
        pytest.raises(SaveFailed, match=r"log\.jsonl cannot be written: No space left"),
        Log(tmp_path / "log.jsonl", 0) as log,
    ):
        assert log.file is not None
        log.file.close()
        log.file = open("/dev/full", "ab", buffering=0)  # noqa: SIM115
        log.write({"step": 1})


def test_a_folder_that_this_process_writes_to_is_said_so(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(ValueError, match="^this or another process is writing to"), locked(tmp_path):
        pass


# ---------------------------------------------------------------- Muon


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 24, 96), (2, 96, 24)])
def test_muon_orthogonalises(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    y = orthogonalise(x, dtype).float()
    values = torch.linalg.svdvals(y)
    assert y.shape == x.shape and values.min() > 0.6 and values.max() < 1.3
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    assert (y - u @ v).norm() < 0.3 * (u @ v).norm()  # the nearest orthogonal matrix, not just any
    torch.testing.assert_close(orthogonalise(x)[1], orthogonalise(x[1:2])[0], rtol=1e-4, atol=1e-5)  # companions
    assert not orthogonalise(torch.zeros(1, 4, 4)).any()


def test_muon_moves_by_the_size_of_an_adamw_step() -> None:
    weight = nn.Parameter(torch.zeros(24, 96))
    weight.grad = torch.randn(24, 96, generator=torch.Generator().manual_seed(0))
    Muon([weight], rate=1e-3, weight_decay=0.0).step()
    assert weight.detach().square().mean().sqrt().item() == pytest.approx(0.2e-3, rel=0.2)


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_optimisers_reduce_the_loss(tmp_path: Path, optimiser: str) -> None:
    go(tmp_path, s=replace(BASE, steps=60, optimiser=optimiser, checkpoint_every=0, evaluate_every=0))
    losses = [line["loss"] for line in read(tmp_path / "log.jsonl") if "loss" in line]
    assert len(losses) == 60 and sum(losses[-5:]) < 0.6 * sum(losses[:5])


# ---------------------------------------------------------------- settings, precision, what a person sees


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "length is one of steps, tokens, epochs and minutes, above 0; given: nothing"),
        ({"minutes": 2.0}, "given: steps=2000, minutes=2.0"),
        ({"average": 0.9, "best": "loss"}, "average and best each say what the finished weights are"),
        ({"last": 3}, "last=3 .* set keep=3"),
        ({"steps": -1}, "steps is -1"),
        ({"batch": 10, "micro_batches": 4}, "batch of 10 rows .* 4 equal .* set batch=12"),
        ({"warmup": 3000}, "warmup 3000 .* 2000 steps"),
        ({"rate": 0.0}, "rate is 0"),
        ({"rate": math.nan}, "rate is nan"),
        ({"floor": 1.5}, "floor is 1.5"),
        ({"beta2": 1.0}, "beta2 is 1.0"),
        ({"optimiser": "sgd"}, "'sgd'; it is one of adamw, muon"),
        ({"keep": 0}, "keep is 0"),
        ({"clip": -1.0}, "clip is -1.0"),
        ({"muon_rate": 0.01}, "muon_rate=0.01 .* optimiser is adamw: set optimiser=muon, or leave muon_rate at 0.0"),
        ({"cooldown": 0.5}, "cooldown=0.5 .* schedule is cosine: set schedule=wsd, or leave cooldown at 0.2"),
    ],
)
def test_nonsense_is_refused(change: dict, words: str) -> None:
    good = TrainSettings(steps=2000)
    good.check()
    with pytest.raises(ValueError, match=words):
        replace(good, **change).check()


def test_settings_need_no_torch() -> None:
    code = f"import sys; sys.path[:0] = {sys.path!r}; import weft.training.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_kernels_are_measured_on_the_rows_of_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    measured = []

    def noted(module: nn.Module, rows: int, length: int, *, dtype: torch.dtype) -> dict[str, str]:
        measured.append((rows, length))
        return {}

    monkeypatch.setattr(begin.measure, "choose", noted)
    monkeypatch.setattr(begin, "join", lambda: World(0, processes))
    recipe = find("shakespeare_char")
    for path, text in (*recipe.debug, ("train.batch", "12"), ("train.micro_batches", "2"), ("data.source", "made")):
        recipe = recipe.change(path, text)
    begun = begin.begin(recipe, tmp_path / "run", resume=False, overwrite=False, watch=Watcher())
    begun.feed.close()
    assert measured == [(6 // processes, begun.blueprint.config.context)]


def test_precision_is_measured_once_and_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    speeds = [100.0, 129.0]  # of fp32, of bf16
    monkeypatch.setattr(precision, "measure", lambda: tuple(speeds))
    assert precision.choose("auto", cpu).dtype == "fp32"
    speeds[1] = 131.0
    chosen = precision.choose("auto", cpu)
    assert chosen == precision.Precision("bf16", "a bf16 product runs at 1.3 times the speed of fp32 here", 131, 100)
    first = replace(BASE, precision="auto", steps=4, evaluate_every=0)
    assert go(tmp_path, s=first).precision == chosen
    speeds[1] = 1.0
    assert go(tmp_path, s=replace(first, steps=5), resume=True).precision == chosen
    monkeypatch.undo()
    state = torch.get_rng_state()
    assert min(precision.measure(side=64)) > 0 and torch.equal(state, torch.get_rng_state())


def test_a_log_cut_short_is_read(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert [line["step"] for line in read(tmp_path / "log.jsonl")] == [1]
    (tmp_path / "log.jsonl").write_text('{"loss": 2.0}\n')
    with pytest.raises(ValueError, match="line 1"):
        read(tmp_path / "log.jsonl")


# ---------------------------------------------------------------- data, losses and lengths of one's own


LINE = replace(BASE, steps=2, warmup=0, checkpoint_every=0, evaluate_every=0)
POINTS = [{"x": torch.randn(2), "y": torch.randn(1)} for _ in range(100)]


def squared(module: nn.Module, batch: Any) -> Tensor:
    return (module(batch["x"]) - batch["y"]).square().mean(-1)


@pytest.mark.parametrize(("epochs", "steps"), [(1.1, 11), (1.0, 10), (0.7, 7), (2.05, 21)])
def test_epochs_are_counted_as_they_are_written(epochs: float, steps: int) -> None:
    settings = replace(LINE, steps=0, epochs=epochs, batch=10)
    assert train(nn.Linear(2, 1), POINTS, squared, settings).steps == steps


def test_tokens_are_counted_where_they_are_known() -> None:
    settings = replace(LINE, steps=0, tokens=5 * 8 * LENGTH - 1)
    done = train(Stranger(), Samples(), Next(), settings)
    assert done.steps == 5 and done.progress.tokens == 5 * 8 * LENGTH
    with pytest.raises(ValueError, match=r"tokens=479: the samples are counted in rows, .* steps, epochs or minutes"):
        train(nn.Linear(2, 1), POINTS, squared, settings)


@dataclass
class Ragged(Samples):
    """Rows of 1 to LENGTH tokens."""

    def batch(self, places: Sequence[Place]) -> Batch:
        full, lengths = super().batch(places), torch.tensor([[1 + index % LENGTH] for _, index in places])
        return replace(full, segments=(torch.arange(LENGTH) < lengths).long())


@pytest.mark.parametrize("batch", [1, 8])
def test_ragged_rows_are_counted_by_their_mean(batch: int) -> None:
    settings = replace(LINE, steps=0, batch=batch, tokens=2000)
    for seed in range(3):
        done = train(Stranger(), Ragged(size=300), Next(), replace(settings, seed=seed))
        assert done.progress.tokens == pytest.approx(2000, rel=0.06)


def test_an_iterable_data_set_with_a_length_is_read_once() -> None:
    class Stream(IterableDataset):
        def __len__(self) -> int:
            return len(POINTS)

        def __iter__(self) -> Iterator[dict[str, Tensor]]:
            return iter(POINTS)

    assert train(nn.Linear(2, 1), Stream(), squared, LINE).progress.position == 16
    with pytest.raises(ValueError, match="how long an iterable is nobody knows"):
        train(nn.Linear(2, 1), Stream(), squared, replace(LINE, steps=0, epochs=1.0))


def test_numbers_of_python_get_the_default_type() -> None:
    seen = []

    def noted(module: nn.Module, batch: Any) -> Tensor:
        seen.append((batch["x"][0].dtype, batch["y"].dtype, batch["n"].dtype, batch["own"].dtype))
        return (module(torch.stack(batch["x"], -1))[:, 0] - batch["y"]).square()

    own = torch.zeros(1, dtype=torch.float64)  # whoever says so gets it
    samples = [{"x": [0.1 * n, 1.0], "y": float(n), "n": n, "own": own} for n in range(16)]
    train(nn.Linear(2, 1), samples, noted, LINE)
    assert seen[0] == (torch.float32, torch.float32, torch.int64, torch.float64)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            [{"x": torch.randn(1 + n % 3)} for n in range(16)],
            r"do not stack \(RuntimeError: stack expects .*Samples\(data, collate\)",
        ),
        ([{"x": torch.randn(2), "y": None} for _ in range(16)], r"do not stack \(.*NoneType.*Samples\(data, collate\)"),
        ((torch.randn(16, 2), torch.randn(16, 1)), r"a tuple of 2 tensors: .*TensorDataset of them, or list\(zip"),
        (Samples, "the data is the class Samples itself"),
    ],
)
def test_samples_that_cannot_be_read_are_said_so_with_the_way_out(data: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        train(nn.Linear(2, 1), data, squared, LINE)


def test_a_collate_of_ones_own_makes_the_batches() -> None:
    rows = [torch.ones(1 + n % 3) for n in range(16)]
    own = strangers.Samples(rows, nn.utils.rnn.pad_sequence)
    train(nn.Linear(1, 1), own, lambda module, batch: module(batch.T[..., None]).square().mean((1, 2)), LINE)


def test_the_rows_of_a_tensor_are_samples() -> None:
    done = train(nn.Linear(2, 1), torch.randn(20, 2), lambda module, batch: module(batch).square().mean(-1), LINE)
    assert done.decisions.samples == 20


def test_an_objective_that_is_none_or_a_class_is_refused() -> None:
    for objective, words in ((None, "the objective is None; it must be"), (Next, "the class Next itself")):
        with pytest.raises(ValueError, match=words):
            train(Stranger(), Samples(), objective, LINE)  # pyright: ignore[reportArgumentType]


class Weighted(nn.Module):
    """A loss with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, module: nn.Module, batch: Any) -> Tensor:
        return squared(module, batch) * (-self.scale).exp() + self.scale


@pytest.mark.parametrize("kind", ["fp32", "bf16"])
def test_a_parameter_of_the_loss_that_nobody_would_train_is_refused(kind: str) -> None:
    settings = replace(LINE, precision=kind, micro_batches=2)
    module, loss = nn.Linear(2, 1), Weighted()
    for given in (loss, lambda module, batch: loss(module, batch)):
        with pytest.raises(ValueError, match=r"depends on a parameter \[1\] that is not the module's"):
            train(module, POINTS, given, settings)
    train(module, POINTS, Weighted().requires_grad_(False), settings)
    module.add_module("loss", loss)
    train(module, POINTS, loss, settings)
    assert loss.scale.item() != 0


def test_what_cannot_be_trained_is_refused_before_it_begins() -> None:
    module = nn.Linear(2, 1)
    for given, words in (
        ((nn.Linear, LINE), "the module given is the class Linear itself"),
        ((None, LINE), "the module given is a NoneType; it must be a torch.nn.Module"),
        ((module, {"steps": 2}), "the settings given is a dict; it must be TrainSettings"),
        ((module, TrainSettings), "the settings given is the class TrainSettings itself"),
    ):
        with pytest.raises(ValueError, match=words):
            strangers.check_given(*given)  # pyright: ignore[reportArgumentType]
    with torch.no_grad(), pytest.raises(ValueError, match="gradients are switched off"):
        strangers.check_given(module, LINE)
    strangers.check_given(module, LINE)


# ---- what a person is told ----


def test_the_log_of_a_run_that_left_no_checkpoint_is_kept(tmp_path: Path) -> None:
    def stop() -> None:
        raise OSError("the disk is gone")

    settings = replace(BASE, steps=4, checkpoint_every=0, evaluate_every=0)
    with pytest.raises(OSError, match="the disk is gone"):
        train(Stranger(), Samples(before=at(3, stop)), Next(), settings, tmp_path)
    lost = (tmp_path / "log.jsonl").read_bytes()
    train(Stranger(), Samples(), Next(), settings, tmp_path)
    assert lost and (tmp_path / "log-1.jsonl").read_bytes() == lost
    assert len(read(tmp_path / "log.jsonl")) == 4


@pytest.mark.parametrize("value", ["good", None, torch.ones(2)], ids=str)
def test_an_evaluators_figure_that_is_no_number_is_named(value: object) -> None:
    with pytest.raises(ValueError, match=r"the evaluator gave .* as 'score'; it must give a number"):
        train(Stranger(), Samples(), Next(), replace(BASE, steps=1, warmup=0), evaluate=lambda module: {"score": value})


def test_rows_are_not_called_tokens(tmp_path: Path) -> None:
    rows = [torch.randn(3) for _ in range(8)]
    settings = replace(BASE, steps=2, batch=4, warmup=0)
    train(nn.Linear(3, 1), rows, lambda module, x: module(x).square().squeeze(-1), settings, tmp_path)
    assert {line["unit"] for line in read(tmp_path / "log.jsonl") if "unit" in line} == {"rows"}
    assert "tokens per second" not in write_report(tmp_path).read_text().lower()
