"""Several tasks at once, about pictures, texts and both."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from weft.batch import IGNORED
from weft.data.order import places
from weft.data.progress import counted
from weft.data.sides import kept_back
from weft.data.signals import PROCESSOR, Patches
from weft.data.signals.emoji import as_read, is_emoji
from weft.data.signals.given import given_pictures, untrained
from weft.data.signals.prepare import ENDINGS
from weft.data.signals.task_rows import Form, TaskRows
from weft.data.signals.task_samples import Samples, TaskSettings
from weft.data.signals.tasks import guessed, samples_of, task_and_path
from weft.data.sources import Say, quiet
from weft.evaluate import METRICS
from weft.files import write_bytes
from weft.hub import Model, load
from weft.hub.folder import TOKENIZER
from weft.models.unified import Task, Unified
from weft.objectives.by_task import given
from weft.recipes.folder import Existing, Own, data_settings, own_data
from weft.recipes.modalities.task_feed import TaskFeed, open_tasks
from weft.recipes.modality import DEBUG_STEPS, MODALITIES, Changes, Modality
from weft.recipes.predicted import Predicted
from weft.recipes.recipe import Recipe
from weft.training.world import place

ROWS, LIKELIEST = 256, 5  # of a pass; of the classes whose probabilities are told


class Tasks(Modality):
    """Rows of several tasks, of a model that has queries and a head for each."""

    settings = TaskSettings
    made = "made_tasks"
    called = "samples"
    keeps = (PROCESSOR, TOKENIZER)
    fixed = ("tokenizer", "vocab")

    @property
    def debug(self) -> Changes:
        """A small vocabulary."""
        return (*DEBUG_STEPS, ("data.source", self.made), ("data.vocab", "384"))

    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> TaskFeed:
        """See `open_tasks`."""
        return open_tasks(recipe, found, out, say)

    def check(self, recipe: Recipe) -> None:
        """ValueError for a model without tasks."""
        if not isinstance(recipe.model.empty(), Unified):
            raise ValueError(
                f"{recipe.model.family} has no tasks with queries of their own: choose another family (`weft list`), "
                "or other data"
            )

    def predict(
        self, folder: Path, data: Path, out: Path | None, *, labelled: bool, device: str = "auto", say: Say = quiet
    ) -> Predicted:
        """The likeliest classes of each sample of one task. data: NAME=PATH, or a path alone where one task of the
        model reads what is there. labelled: of a folder as it is trained on, what the run held out is asked."""
        model = load(folder, device=device if device != "auto" else place("auto"))
        if model.reads is None or not isinstance(model.reads.processor, Patches):
            raise ValueError(f"{folder} has no {PROCESSOR}, which says how it reads pictures")
        name, path = task_and_path(str(data))
        task = chosen(model.config.tasks, name, Path(path))
        settings = data_settings(folder)
        settings = settings if isinstance(settings, TaskSettings) else TaskSettings()
        own = own_data(folder, data)
        samples, apart = given_samples(
            task, Path(path), settings, model.reads.processor, own=own, labelled=labelled, say=say
        )
        if labelled and (unknown := int((samples.labels == IGNORED).sum())):
            raise ValueError(
                f"nothing says what {unknown:,} of {len(samples.labels):,} samples of {task.name!r} are "
                f"(its classes are {', '.join(task.names[:10])}): label them, or leave --score out"
            )
        form = Form(model.need_tokenizer(), model.reads.processor, model.config.context)
        found = probabilities(model, task, TaskRows(samples, form), say)
        guesses = [task.names[number] for number in found.argmax(axis=1)]
        if out is not None:
            write_bytes(out, lines(task, samples, guesses, found).encode())
        if not labelled:
            return Predicted(len(guesses), None, None)
        metric, gold = METRICS.get("accuracy"), [task.names[label] for label in samples.labels]
        interval = metric.interval(guesses, gold, say)
        return Predicted(len(guesses), metric.score(guesses, gold), interval, apart=apart)


def chosen(tasks: Sequence[Task], name: str, path: Path) -> Task:
    """The task that is asked. ValueError where none is called so, or it is not clear which is meant."""
    there = ", ".join(task.name for task in tasks)
    if name:
        for task in tasks:
            if task.name == name:
                return task
        raise ValueError(f"the model has no task {name!r}; there are {there}")
    if len(tasks) == 1:
        return tasks[0]
    reads = guessed(path) if path.exists() else ""
    able = [task for task in tasks if task.reads == ("image" if path.suffix.lower() in ENDINGS else reads)]
    if len(able) == 1:
        return able[0]
    raise ValueError(f"which task is {path} of? Write NAME=PATH; there are {there}")


def given_samples(
    task: Task, path: Path, settings: TaskSettings, processor: Patches, *, own: Own | None, labelled: bool, say: Say
) -> tuple[Samples, bool]:
    """What a person names, and whether what was trained on is left out. own: a run of these settings read it. labelled:
    of that, and of a folder as it is trained on, what the run held out is asked. Labels are numbers of the task's own
    classes; IGNORED where nobody said it."""
    if task.reads == "image" and own is None and not is_emoji(path):
        idx = "-idx3-" in path.name or any(path.glob("*-images-idx3-ubyte*"))
        grey = replace(processor, channels=1, mean=(0.5,), std=(0.5,)) if idx else processor
        choose = (lambda names, sides: untrained(sides, say)) if labelled else None
        found = given_pictures(path, grey, task.names, say, choose=choose)
        labels = np.array([IGNORED if word is None else task.names.index(word) for word in found.classes], np.int64)
        held, pixels, picture = np.ones(len(labels), bool), as_read(found.signals, processor), np.arange(len(labels))
        return Samples(task.name, task.names, found.names, labels, held, pixels=pixels, picture=picture), False
    known, apart = own is not None or path.is_dir(), False
    samples = samples_of(task.name, path, task, settings if known else replace(settings, held_out=1.0), processor, say)
    if known and labelled:
        held = samples.held if own is None else own.still(samples.held, samples.called())
        numbers, apart = kept_back(held, "samples", say)
        samples = samples.only(numbers)
    number = {word: place for place, word in enumerate(task.names)}
    numbers = np.array([number.get(word, IGNORED) for word in samples.classes] or [IGNORED], np.int64)
    labels = np.where(samples.labels == IGNORED, IGNORED, numbers[samples.labels.clip(min=0)])
    return replace(samples, classes=task.names, labels=labels), apart


def probabilities(model: Model, task: Task, rows: TaskRows, say: Say = quiet) -> np.ndarray:
    """p(class | sample), fp32 [N, classes]."""
    module, parts = model.module, list[torch.Tensor]()
    assert isinstance(module, Unified)
    device, advance = next(module.parameters()).device, counted(say, "asked", len(rows))
    with torch.inference_mode():
        for start in range(0, len(rows), ROWS):
            batch = rows.batch(places(0, range(start, min(start + ROWS, len(rows))))).to(device)
            count = len(batch.tokens)
            states, _ = module(*given(module, batch, torch.arange(count, device=device), task.name), task=task.name)
            parts.append(module.logits(states, task.name).float().softmax(dim=-1).cpu())  # [B, classes]
            advance(count)
    return torch.cat(parts).numpy()


def lines(task: Task, samples: Samples, guesses: Sequence[str], found: np.ndarray) -> str:
    """A JSON object for each sample."""
    made = list[str]()
    for number, (name, guess) in enumerate(zip(samples.names, guesses, strict=True)):
        line: dict[str, object] = {"task": task.name, "sample": name}
        if samples.texts is not None:
            line["text"] = samples.texts[number]
        best = np.argsort(-found[number])[:LIKELIEST]
        line["class"] = guess
        line["probabilities"] = {task.names[at]: round(float(found[number][at]), 4) for at in best}
        made.append(json.dumps(line, ensure_ascii=False) + "\n")
    return "".join(made)


MODALITIES.register("tasks", Tasks())
