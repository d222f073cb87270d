"""Several tasks at once: where their samples come from, the rows they become, what is minimised, and a run on them."""

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import good, weft
from torch import Tensor
from torch.nn import functional

import weft as library
from weft.batch import IGNORED, Batch, Place
from weft.data import train_tokenizer
from weft.data.signals import Augment, Patches
from weft.data.signals.made import SHAPES, made_pictures
from weft.data.signals.task_rows import Form, TaskMix, TaskRows
from weft.data.signals.task_samples import Samples, TaskSettings, called, labelled
from weft.data.signals.tasks import read_tasks, samples_of
from weft.files import DamagedFile
from weft.models import Blueprint
from weft.models.unified import Task, Unified
from weft.objectives import TERM
from weft.objectives.by_task import ByTask
from weft.recipes.modalities.task_feed import task_of

Image = pytest.importorskip("PIL.Image", reason="pictures are read with pillow")
PROCESSOR = Patches(12, 4, 1)
SETTINGS = TaskSettings(source="made_tasks")


def made(augment: Augment | None = None) -> tuple[list[TaskRows], Form]:
    samples = read_tasks(SETTINGS, {}, PROCESSOR)
    texts = [text for one in samples for text in one.texts or ()]
    form = Form(train_tokenizer("bpe", texts, 384), PROCESSOR, 64)
    return [TaskRows(one, form, augment=augment, seed=3) for one in samples], form


def model_for(rows: list[TaskRows]) -> Unified:
    tasks = tuple(
        Task(one.samples.name, reads=one.samples.reads, classes=len(one.samples.classes), queries=2)  # type: ignore[arg-type]
        for one in rows
    )
    blueprint = Blueprint.of("unit", "debug").change("text.vocab", "384")
    module = replace(blueprint, config=replace(blueprint.config, tasks=tasks)).build(seed=1)
    assert isinstance(module, Unified)
    return module


def batch_of(data: TaskMix, *samples: int) -> Batch:
    return data.batch([Place(0, sample) for sample in samples])


def test_tasks_are_read_by_their_weights_and_each_sample_once_an_epoch() -> None:
    rows, _ = made()
    mix = TaskMix(rows, [2, 1, 1])
    places = [mix.place(position, 5) for position in range(4 * 60)]
    sources = Counter(mix.source(place.sample) for place in places)
    assert sources == {0: 120, 1: 60, 2: 60} and len({*places}) == len(places)
    assert {place.sample for place in places if place.sample < len(rows[0])} == set(range(len(rows[0])))
    assert [mix.place(position, 5) for position in (7, 3)] == [places[7], places[3]]


def test_a_row_has_what_its_task_reads_and_is_the_same_in_any_batch() -> None:
    rows, form = made(Augment(shift=2))
    mix = TaskMix(rows, [1, 1, 1])
    first = np.cumsum([0, *map(len, rows)]).tolist()
    batch = batch_of(mix, first[0] + 1, first[2] + 4, first[1] + 2)
    assert batch.source is not None and batch.segments is not None and batch.source.segments is not None
    assert batch.asked["shape"].tolist() == [rows[0].samples.labels[1], IGNORED, IGNORED]
    assert batch.asked["moon"].tolist() == [IGNORED, rows[2].samples.labels[4], IGNORED]
    assert batch.asked["answer"].tolist() == [IGNORED, IGNORED, rows[1].samples.labels[2]]
    assert (batch.source.segments > 0).any(1).tolist() == [True, False, True]
    assert (batch.segments > 0).any(1).tolist() == [False, True, True]
    text = batch.tokens[1][batch.segments[1] > 0].tolist()
    assert text[0] == form.tokenizer.begin and text[-1] == form.tokenizer.end
    assert rows[2].samples.texts is not None and form.tokenizer.decode(text[1:-1]) == rows[2].samples.texts[4]
    alone = batch_of(mix, first[1] + 2)
    assert alone.source is not None
    torch.testing.assert_close(alone.source.tokens[0], batch.source.tokens[2])
    assert batch.samples == (first[0] + 1, first[2] + 4, first[1] + 2)
    assert batch.size == 9 * 2 + int((batch.segments > 0).sum())


def test_the_loss_is_the_mean_over_rows_each_by_the_head_of_its_task() -> None:
    rows, _ = made()
    mix, module, objective = TaskMix(rows, [1, 1, 1]), model_for(rows), ByTask()
    first = np.cumsum([0, *map(len, rows)]).tolist()
    samples = [first[0], first[1] + 1, first[0] + 2, first[2] + 3]
    batch = batch_of(mix, *samples)
    losses = objective.losses(module, batch)
    assert {name: loss.count for name, loss in losses.items()} == objective.counts(batch)
    assert objective.counts(batch) == {TERM: 4, "shape": 2, "answer": 1, "moon": 1}
    wanted, guesses = dict.fromkeys(mix.names, 0.0), dict[str, list[int]]()
    for sample in samples:
        one = batch_of(mix, sample)
        name = mix.names[mix.source(sample)]
        reads = module.task(name).reads
        assert one.source is not None
        text = None if reads == "image" else one.tokens
        states, _ = module(None if reads == "text" else one.source.tokens, text, task=name)
        scores = module.logits(states, name)
        wanted[name] += float(functional.cross_entropy(scores, one.asked[name], reduction="sum").detach())
        guesses.setdefault(name, []).append(int(scores.argmax()))
    for name in mix.names:
        assert losses[name].sum.item() == pytest.approx(wanted[name], rel=1e-5) and losses[name].weight == 0
    assert losses[TERM].sum.item() == pytest.approx(sum(wanted.values()), rel=1e-5)
    assert objective.guesses(module, batch).tolist() == [guess for name in mix.names for guess in guesses[name]]
    labels = [int(batch.asked[mix.names[mix.source(sample)]][row]) for row, sample in enumerate(samples)]
    assert objective.answers(batch).tolist() == [labels[0], labels[2], labels[1], labels[3]]


def test_parts_of_a_batch_have_the_loss_and_the_gradient_of_the_whole() -> None:
    """T6, and T7: rows that nothing is asked of add nothing, and tasks without rows are told as finite."""
    rows, _ = made()
    mix, module, objective = TaskMix(rows, [1, 1, 1]), model_for(rows), ByTask()
    first = [int(number) for number in np.cumsum([0, *map(len, rows)])]
    samples = [first[0], first[1] + 1, first[0] + 2, first[2] + 3, first[2] + 11]

    def gradient(*parts: Batch) -> list[Tensor]:
        losses = [objective.losses(module, part) for part in parts]
        total = sum(loss[TERM].sum for loss in losses) / sum(loss[TERM].count for loss in losses)
        assert isinstance(total, Tensor)
        found = torch.autograd.grad(total, list(module.parameters()), allow_unused=True, materialize_grads=True)
        return [total.detach(), *found]

    whole = gradient(batch_of(mix, *samples))
    nothing = batch_of(mix, first[0], first[1])
    nothing = replace(nothing, asked={name: torch.full_like(t, IGNORED) for name, t in nothing.asked.items()})
    assert set(objective.counts(nothing).values()) == {0}
    assert all(loss.sum == 0 and loss.sum.requires_grad for loss in objective.losses(module, nothing).values())
    for parts in (
        (batch_of(mix, *samples[:1]), batch_of(mix, *samples[1:3]), batch_of(mix, *samples[3:])),
        (batch_of(mix, *samples), nothing),
    ):
        for one, other in zip(gradient(*parts), whole, strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_one_guess_for_all_is_made_task_by_task() -> None:
    rows, _ = made()
    mix = TaskMix(rows, [1, 1, 1])
    batch = mix.batch([Place(0, sample) for sample in range(len(mix))])
    paid = 0.0
    for one in rows:
        shares = np.unique(one.samples.labels, return_counts=True)[1] / len(one)
        paid -= len(one) * float((shares * np.log(shares)).sum())
    assert ByTask().constant(None, [batch]) == pytest.approx(paid / len(mix))


@pytest.mark.parametrize(
    ("said", "make"),
    [
        ("has none", lambda: ByTask().check(Blueprint.of("bert", "debug").build())),
        ("which task", lambda: ByTask().losses(None, Batch(torch.zeros(1, 1, dtype=torch.int64)))),
        ("weights=mood", lambda: TaskSettings(weights=("mood",)).check()),
        ("weights=mood=-1", lambda: TaskSettings(weights=("mood=-1",)).check()),
        ("held_out=2", lambda: TaskSettings(held_out=2).check()),
        ("named with their data", lambda: read_tasks(TaskSettings(), {}, PROCESSOR)),
        ("names no task", lambda: read_tasks(TaskSettings(paths=("here/",)), {}, PROCESSOR)),
        ("none of a=b is of a task", lambda: read_tasks(TaskSettings(paths=("a=b",), tasks=("c",)), {}, PROCESSOR)),
        ("task 'other'", lambda: read_tasks(replace(SETTINGS, tasks=("other",)), {}, PROCESSOR)),
        ("3 classes and 2 names", lambda: Task("a", classes=3, names=("x", "y"))),
    ],
)
def test_what_cannot_be_is_refused(said: str, make: Any) -> None:
    with pytest.raises(ValueError, match=said):
        make()


# ---------------------------------------------------------------- where they come from


def texts(path: Path, lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(lines.encode()) if path.suffix == ".gz" else lines.encode())
    return path


ROWS = "good film\t1\nbad film\t0\ngood words\t1\nbad words\t0\n"


def reviews(folder: Path) -> Path:
    texts(folder / "train.tsv.gz", ROWS)
    texts(folder / "dev.tsv.gz", "a good one\t1\na bad one\t0\n")
    return folder


def pictures(folder: Path, count: int = 30) -> Path:
    found, labels = made_pictures(count, 12, 1, 5)
    for number, (picture, label) in enumerate(zip(found, labels, strict=True)):
        path = folder / ("train" if number % 3 else "val") / SHAPES[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0]).save(path)
    return folder


def test_texts_are_read_in_each_of_their_forms(tmp_path: Path) -> None:
    one = samples_of("mood", reviews(tmp_path / "folder"), None, TaskSettings(), PROCESSOR)
    assert one.classes == ("0", "1") and one.texts is not None
    assert all((label == 1) == ("good" in text) for text, label in zip(one.texts, one.labels.tolist(), strict=True))
    assert one.held.sum() == 2 and one.reads == "text"
    table = texts(tmp_path / "all.csv", "label,sentence\nbad,what a film\n")
    objects = texts(tmp_path / "all.jsonl", '{"text": "what a film", "label": "bad"}\n')
    for path in (table, objects):
        found = samples_of("mood", path, Task("mood", reads="text"), TaskSettings(held_out=1e-9), PROCESSOR)
        assert found.texts == ("what a film",) and found.classes == ("bad",) and not found.held.any()
    alone = samples_of("mood", texts(tmp_path / "new.jsonl", '{"text": "x"}\n'), None, TaskSettings(), PROCESSOR)
    assert alone.labels.tolist() == [IGNORED]


@pytest.mark.parametrize(
    ("said", "name", "text"),
    [
        ("line 2: the row has 1 values", "train.tsv", "good\t1\nbad\n"),
        ("line 1: there is no text", "train.tsv", " \t1\n"),
        ("no column 'sentence'", "train.jsonl", '{"words": "a", "label": 1}\n'),
        ("line 1", "train.jsonl", "no json\n"),
        ("no rows", "train.tsv", ""),
        ("'review' and 'opinion', looks like a header", "train.tsv", "review\topinion\na\t1\nb\t0\nc\t1\n"),
        ("no file", "gone.tsv", None),
    ],
)
def test_bad_texts_are_named_by_file_and_line(said: str, name: str, text: str | None, tmp_path: Path) -> None:
    path = tmp_path / name
    if text is not None:
        texts(path, text)
    with pytest.raises((ValueError, DamagedFile), match=said) as error:
        samples_of("mood", path, Task("mood", reads="text"), TaskSettings(), PROCESSOR)
    assert name in str(error.value)


def test_classes_are_those_that_are_trained_on() -> None:
    held = np.array([False, False, True])
    found = labelled("a", "xyz", ["dog", "cat", "dog"], held, texts=("1", "2", "3"))
    assert found.classes == ("cat", "dog") and found.labels.tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="1 held-out samples of the task 'a' are 'cow'"):
        labelled("a", "xyz", ["dog", "cat", "cow"], held)
    numbered = labelled("a", "xyz", ["1", "0", "1"], held)
    assert called(numbered, ("no", "yes")).classes == ("no", "yes")
    assert called(numbered, ("no", "yes")).labels.tolist() == [1, 0, 1]
    assert called(found, ("no", "yes")) is found


@pytest.mark.parametrize(
    ("said", "task", "fixed"),
    [
        ("knows no task 'a'", None, True),
        ("told by boxes", Task("a", reads="text", boxes=True), False),
        ("reads image, and its data are text", Task("a", reads="image"), False),
        ("has the classes x, y, and the data cat, dog", Task("a", reads="text", names=("x", "y")), True),
    ],
)
def test_data_that_are_not_of_the_task_are_refused(said: str, task: Task | None, fixed: bool) -> None:
    samples = Samples("a", ("cat", "dog"), ("0",), np.zeros(1, np.int64), np.zeros(1, bool), texts=("x",))
    with pytest.raises(ValueError, match=said):
        task_of(samples, task, fixed=fixed)


# ---------------------------------------------------------------- a run


def test_a_run_on_tasks_trains_resumes_and_answers(tmp_path: Path) -> None:
    shapes, mood = pictures(tmp_path / "shapes"), reviews(tmp_path / "mood")
    words = ["train", "unit", "--debug", "--data", f"shape={shapes}", "--data", f"mood={mood}", "--quiet"]
    words += ["--set", "train.steps=4", "--set", "train.checkpoint_every=2", "--set", "train.precision=fp32"]
    words += ["--set", "train.kernel=matmul", "--set", "data.augment.shift=1", "--set", "data.weights=shape=2"]
    whole, again = tmp_path / "whole", tmp_path / "again"
    assert "held-out accuracy of mood" in good(*words, "--out", whole).out
    good(*words, "--out", again)
    for path in sorted(sorted((again / "checkpoints").iterdir())[-1].rglob("*"), reverse=True):
        path.unlink()
    sorted((again / "checkpoints").iterdir())[-1].rmdir()
    good(*words, "--out", again, "--resume")
    assert (whole / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()
    metrics = json.loads((whole / "report.json").read_text())["metrics"]
    for name, folder in (("shape", shapes), ("mood", mood)):
        for data in (f"{name}={folder}", str(folder)):  # one task alone reads what is there
            scores = good("eval", whole, "--data", data, "--json").data
            assert scores["accuracy"] == pytest.approx(metrics[f"accuracy of {name}"]["value"])
    assert scores["examples"] == 2
    out = tmp_path / "said.jsonl"
    new = texts(tmp_path / "new.tsv", "a film\nno film\n")
    good("predict", whole, "--data", f"mood={new}", "--out", out)
    said = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["text"] for line in said] == ["a film", "no film"] and {line["class"] for line in said} <= {"0", "1"}
    good("predict", whole, "--data", shapes / "val" / "disc", "--out", out, "--overwrite")
    assert all(
        line["class"] in SHAPES and line["task"] == "shape" for line in map(json.loads, out.read_text().splitlines())
    )
    for data, message in ((f"gone={new}", "no task 'gone'; there are shape, mood"), (f"mood={new}", "label them")):
        assert message in weft("predict", whole, "--data", data, "--out", tmp_path / "x.jsonl", "--score").err
    assert library.load(whole).config.tasks[0].names == tuple(sorted(SHAPES))
    good("train", whole, "--data", f"mood={mood}", "--out", tmp_path / "on", "--set", "train.steps=1", "--quiet")
    assert library.load(tmp_path / "on").config.tasks == library.load(whole).config.tasks


def test_one_task_alone_is_a_setting(tmp_path: Path) -> None:
    words = ("train", "unit_three", "--debug", "--quiet", "--set", "data.tasks=moon", "--set", "train.steps=2")
    good(*words, "--out", tmp_path / "run")
    (task,) = library.load(tmp_path / "run").config.tasks
    assert (task.name, task.reads, task.names) == ("moon", "text", ("moon", "other"))
