"""Several tasks as the data of a run: their tokenizer and processor, their rows, how often the model is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from weft.batch import Tokenizer, Unfit
from weft.data import train_tokenizer
from weft.data.sides import digest
from weft.data.signals import Patches, write_processor
from weft.data.signals.task_rows import Form, TaskMix, TaskRows
from weft.data.signals.task_samples import Samples, TaskSettings
from weft.data.signals.tasks import read_tasks
from weft.data.sources import Say
from weft.evaluate import METRICS, Score, check
from weft.evaluate.judged import judged
from weft.hub import load
from weft.hub.preprocessor import reads_of
from weft.models import Blueprint
from weft.models.unified import Task
from weft.recipes.feed import Told
from weft.recipes.folder import Existing
from weft.recipes.modalities.signal_feed import SignalFeed, known_tokenizer
from weft.recipes.recipe import Recipe
from weft.training.watch import Watcher


@dataclass(frozen=True)
class TaskFeed(SignalFeed):
    """Rows of several tasks."""

    mixes: tuple[TaskMix, TaskMix]  # to train on, held out
    names: tuple[str, ...]  # a digest of what the samples of each task are called, see `Feed.split`

    @property
    def digest(self) -> str:
        """Of all tasks, and of how often each is read."""
        found = [rows.digest() for mix in self.mixes for rows in mix.rows]
        return "".join(one[: max(8, 64 // len(found))] for one in found) + f"/{self.mixes[0].shares}"

    @property
    def split(self) -> tuple[str, ...]:
        """Of each task."""
        return self.names

    def write(self, out: Path) -> None:
        """The tokenizer and the processor."""
        form = self.mixes[0].rows[0].form
        form.tokenizer.save(out)
        write_processor(out, form.processor)

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Of the texts."""
        return self.mixes[0].rows[0].form.tokenizer

    def figures(
        self, module: nn.Module, share: tuple[int, int], total: Callable[[Sequence[float]], list[float]]
    ) -> dict[str, float]:
        """The loss, as a mean over all samples; the accuracy, as a mean over tasks; and both of each task."""
        objective, parts = self.recipe.minimised, self.mixes[1].rows
        found = [judged(module, rows, objective, share=share, total=total) for rows in parts]
        loss = sum(each["loss"] * len(rows) for each, rows in zip(found, parts, strict=True)) / len(self.mixes[1])
        means = {"loss": loss, "accuracy": sum(each["accuracy"] for each in found) / len(found)}
        return means | {
            f"{rows.samples.name} {kind}": value
            for each, rows in zip(found, parts, strict=True)
            for kind, value in each.items()
        }

    def told(self, recipe: Recipe, out: Path, watch: Watcher, *, finished: bool) -> Told:
        """Of the finished model, as it was saved, the accuracy of each task with its definition."""
        if not finished or not recipe.minimised.alone:
            return Told()
        metric, module, scores = METRICS.get("accuracy"), load(out).module, dict[str, Score]()
        for rows in self.mixes[1].rows:
            found = judged(module, rows, recipe.minimised)
            scores[f"accuracy of {rows.samples.name}"] = metric.said(found[metric.name])
        return Told(metrics=scores)

    def account(self) -> dict[str, Any]:
        """Samples and classes of each task."""
        train, held_out = self.mixes
        each = {
            rows.samples.name: {"samples": [len(rows), len(out)], "classes": len(rows.samples.classes)}
            for rows, out in zip(train.rows, held_out.rows, strict=True)
        }
        return {"tasks": each, "vocabulary": train.rows[0].form.tokenizer.vocab, "digest": self.digest}


def open_tasks(recipe: Recipe, found: Existing | None, out: Path, say: Say) -> TaskFeed:
    """See `Modality.open`."""
    settings: TaskSettings = recipe.data
    where = recipe.begin if found is None else out
    known = None if where is None else reads_of(where)
    image = recipe.model.config.image.config
    given = known.processor if known is not None and isinstance(known.processor, Patches) else None
    said = {task.name: task for task in recipe.model.config.tasks}
    samples = read_tasks(settings, said, given or Patches(image.image, image.patch, image.channels), say)
    tokenizer = known_tokenizer(recipe, found) or new_tokenizer(settings, samples)
    asked = tuple(task_of(one, said.get(one.name), fixed=recipe.begin is not None) for one in samples)
    blueprint = recipe.model if recipe.begin is not None else fitted(recipe.model, tokenizer, asked)
    form = Form(tokenizer, given or fitted_processor(image, samples), recipe.model.config.context)
    weights = [settings.shares().get(one.name, 1.0) for one in samples]
    train = TaskMix(
        [
            TaskRows(one.only(np.flatnonzero(~one.held)), form, augment=settings.augment, seed=settings.seed)
            for one in samples
        ],
        weights,
        settings.seed,
    )
    held_out = TaskMix([TaskRows(one.only(np.flatnonzero(one.held)), form) for one in samples], weights)
    notices = tuple(
        f"{one.name}: {len(rows):,} samples of {len(one.classes)} classes to train on, {len(kept):,} held out"
        for one, rows, kept in zip(samples, train.rows, held_out.rows, strict=True)
    )
    for text in notices:
        say(text)
    objective = recipe.minimised
    rows = objective.turn_signals(held_out, 0)
    check(rows, objective)
    turned = objective.turn_signals(train, recipe.train.seed)
    names = tuple(digest(one.called(), one.held) for one in samples)
    return TaskFeed(recipe, blueprint, turned, rows, notices, (train, held_out), names)


def task_of(samples: Samples, known: Task | None, *, fixed: bool) -> Task:
    """A task as its data have it. known: what the model says of it; fixed: it is trained already. Unfit where the data
    are others, ValueError for a task that is not trained from any."""
    if known is None and fixed:
        raise Unfit(f"the model knows no task {samples.name!r}: name one it was trained on, or train a new model")
    if known is None:
        return Task(
            samples.name,
            reads=samples.reads,  # type: ignore[arg-type]  # one of the three
            classes=len(samples.classes),
            names=samples.classes,
        )
    if known.boxes:
        raise ValueError(f"the task {known.name!r} is told by boxes, which are not trained from data yet: name another")
    if known.reads != samples.reads:
        raise Unfit(f"the task {known.name!r} reads {known.reads}, and its data are {samples.reads}: name others")
    if fixed and known.names != samples.classes:
        raise Unfit(
            f"the task {known.name!r} has the classes {', '.join(known.names)}, and the data "
            f"{', '.join(samples.classes)}: give data of the same, or train a new model"
        )
    return replace(known, classes=len(samples.classes), names=samples.classes)


def fitted(model: Blueprint, tokenizer: Tokenizer, tasks: tuple[Task, ...]) -> Blueprint:
    """The model with as many ids as there are, and with the tasks that the data have."""
    model = model.change("text.vocab", str(tokenizer.vocab))
    return replace(model, config=replace(model.config, tasks=tasks))


def fitted_processor(image: Any, samples: Sequence[Samples]) -> Patches:
    """By the mean and deviation of the pictures that are trained on, each task's as many as any other's."""
    parts = list[np.ndarray]()
    for one in samples:
        if one.pixels is not None and one.picture is not None:
            shown = np.unique(one.picture[~one.held])
            parts.append(one.pixels[shown[:: max(1, len(shown) // 1000)]])
    if not parts:
        return Patches(image.image, image.patch, image.channels)
    return Patches.of(image, np.concatenate(parts))


def new_tokenizer(settings: TaskSettings, samples: Sequence[Samples]) -> Tokenizer:
    """One of the texts that are trained on; where no task reads any, of the tasks' names."""
    lines = [text for one in samples for text, held in zip(one.texts or (), one.held, strict=False) if not held]
    return train_tokenizer(settings.tokenizer, lines or [one.name for one in samples], settings.vocab)
