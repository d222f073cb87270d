"""How well a model answers what it is asked of each row: its loss, and how often it is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import Module

from weft.batch import Batch, Dataset
from weft.evaluate.perplexity import batches
from weft.objectives import TERM, Objective

ROWS = 256  # of a batch


@torch.no_grad()
def judged(
    module: Module,
    dataset: Dataset[Batch],
    objective: Objective,
    *,
    rows: int = ROWS,
    share: tuple[int, int] = (0, 1),
    total: Callable[[Sequence[float]], list[float]] = list,
) -> dict[str, float]:
    """ "loss": the mean of the term of this name over what it counts; "accuracy": of objectives that answer
    (`Objective.guesses`), the share of answers that are right. Of the module as it stands. share, total: see
    `likelihood`."""
    device = next(module.parameters()).device
    loss, count, right, asked = 0.0, 0.0, 0.0, 0.0
    for batch, counted in batches(dataset, rows, share):
        there = batch.to(device)
        term, guesses = objective.losses(module, there)[TERM], objective.guesses(module, there)
        if not counted:
            continue
        loss, count = loss + term.sum.double().item(), count + term.count
        gold = objective.answers(there)
        if guesses is not None and gold is not None:
            right, asked = right + int((guesses == gold).sum()), asked + len(gold)
    loss, count, right, asked = total([loss, count, right, asked])
    if not count:
        raise ValueError(f"none of the {len(dataset)} samples is asked anything: there is nothing to evaluate")
    return {"loss": loss / count} | ({"accuracy": right / asked} if asked else {})
