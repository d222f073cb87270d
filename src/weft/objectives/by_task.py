"""Several tasks with a class each, asked of one model in one step (Hu & Singh 2021, UniT)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.batch import IGNORED, Batch
from weft.models.unified import Unified
from weft.nn import Layout
from weft.objectives.loss import TERM, Loss, Objective, entropy
from weft.objectives.wrapped import bare
from weft.objectives.writing import unweighed


@dataclass(frozen=True)
class ByTask(Objective):
    """-log p of each row's class by the head of its task, as a mean over all rows of a step: how much a task counts is
    how many of the rows are its own (§3.5, where a step is of one task, drawn by its weight).

    A row is of the task under whose name `asked` has a label, int64 [B], that is not IGNORED; the rows of each task are
    a pass of their own. Each task's own mean is told as a term of its name, of weight 0. A task of which a micro-batch
    has no row is asked of a row of nothing, and what it says counts for nothing: passes are the same on all processes.
    """

    carriers = (Unified,)
    likelihood = False
    of_signals = True

    def check(self, module: nn.Module) -> None:
        """ValueError for a model that has no tasks."""
        if not isinstance(module, Unified):
            raise ValueError(
                f"{self.title} asks a model that has tasks, each with queries of its own, and this one has none: "
                f"{self._why()}"
            )

    def counts(self, batch: Batch) -> dict[str, int]:
        """The rows, and those of each task."""
        each = {name: int((labels != IGNORED).sum()) for name, labels in batch.asked.items()}
        return {TERM: sum(each.values())} | each

    def answers(self, batch: Batch) -> Tensor:
        """The classes, task by task."""
        return torch.cat([labels[labels != IGNORED] for labels in batch.asked.values()])

    def constant(self, module: Any, batches: Iterable[Batch]) -> float | None:
        """What the shares of each task's own classes pay, as a mean over all rows."""
        each: dict[str, list[Tensor]] = {}
        for batch in batches:
            for name, labels in batch.asked.items():
                each.setdefault(name, []).append(labels[labels != IGNORED])
        count = sum(len(labels) for parts in each.values() for labels in parts)
        paid = [(entropy(parts) or 0.0) * sum(map(len, parts)) for parts in each.values()]
        return sum(paid) / count if count else None

    def guesses(self, module: Any, batch: Batch) -> Tensor:
        """The likeliest classes, task by task."""
        return torch.cat([scores[: len(labels)].argmax(dim=-1) for _, scores, labels in asked(module, batch)])

    def losses(self, module: Any, batch: Batch) -> dict[str, Loss]:
        """The term "loss", and one of each task. ValueError for a batch that asks nothing."""
        if not batch.asked:
            raise ValueError("the batch says of no row which task it is of: give data of tasks")
        each = dict[str, Loss]()
        for name, scores, labels in asked(module, batch):
            nats = functional.cross_entropy(scores, labels, reduction="sum") if len(labels) else scores.sum() * 0.0
            each[name] = Loss(nats, len(labels), 0.0)
        whole = torch.stack([loss.sum for loss in each.values()]).sum()
        return {TERM: Loss(whole, sum(loss.count for loss in each.values()))} | each


def asked(module: Any, batch: Batch) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Of each task its name, the scores of its rows, fp32 [n, C], and their labels [n]; of a task without rows the
    scores of one of nothing."""
    model = bare(module)
    assert isinstance(model, Unified)
    for name, labels in batch.asked.items():
        rows = (labels != IGNORED).nonzero()[:, 0]
        states, auxiliary = module(*given(model, batch, rows, name), task=name)  # [n or 1, Q, D]
        unweighed(auxiliary)
        yield name, model.logits(states, name).float(), labels[rows]


def given(
    model: Unified, batch: Batch, rows: Tensor, task: str
) -> tuple[Tensor | None, Tensor | None, None, Layout | None]:
    """What a pass of one task reads of some rows: pictures, texts as long as the longest, and where these sit; of no
    rows, one of nothing. ValueError for a batch without pictures where the task reads some."""
    kinds = model.task(task).reads
    source = tokens = here = None
    if kinds != "text":
        if batch.source is None:
            raise ValueError(f"the task {task!r} reads images, and the batch has no source: give some")
        source = batch.source.tokens[rows] if len(rows) else batch.source.tokens[:1] * 0
    if kinds != "image":
        if not len(rows):
            return source, batch.tokens[:1, :1], None, None
        tokens, segments = batch.tokens[rows], None if batch.segments is None else batch.segments[rows]
        if segments is not None:
            longest = max(1, int((segments > 0).sum(dim=1).max()))
            tokens, here = tokens[:, :longest], Layout(segments=segments[:, :longest])
    return source, tokens, None, here
