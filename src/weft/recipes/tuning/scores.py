"""A fine-tuned model's scores for all rows of a data set, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from weft.data import places
from weft.data.labelled import Padded
from weft.objectives import TERM
from weft.objectives.tasks import Task
from weft.objectives.tasks_head import WithHead

TOKENS = 8192  # of a pass, padding included


class Scored(NamedTuple):
    """rows: the scores of each row in the data set's order, fp32 [C] or [T, C]; nats: the loss; None where there are no
    labels."""

    rows: list[np.ndarray]
    loss: float | None


def score(
    module: WithHead,
    data: Padded,
    objective: Task,
    *,
    labelled: bool,
    advance: Callable[[int], None] = lambda more: None,
) -> Scored:
    """Every row once, computed in the weights' precision also where a run trains under autocast: what a model scores
    while it is tuned it scores when it is saved. Rows of about one length go together, so that little is padded.
    advance: hears how many samples more were read."""
    device, total, count = next(module.parameters()).device, 0.0, 0
    found: list[list[np.ndarray]] = [[] for _ in range(len(data))]
    for group in groups([data.length(sample) for sample in range(len(data))], len(data.samples[0])):
        batch = data.batch(places(0, group)).to(device)
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            scores = module(batch).float()  # [B, C] or [B, T, C]
        if labelled:
            total, count = total + float(objective.summed(scores, batch)), count + objective.counts(batch)[TERM]
        rows = iter(scores.cpu().numpy())
        for sample in group:
            lines = zip(data.samples[sample], rows, strict=False)  # in this order: no row is taken too many
            found[sample] = [row if row.ndim == 1 else row[: len(line.ids)] for line, row in lines]
        advance(len(group))
    return Scored([row for rows in found for row in rows], total / count if count else None)


def groups(lengths: Sequence[int], rows: int) -> Iterator[list[int]]:
    """Samples by length, the longest first, as many at a time as TOKENS have room for; each has so many `rows`."""
    order = sorted(range(len(lengths)), key=lambda sample: -lengths[sample])
    start = 0
    while start < len(order):
        stop = start + max(1, TOKENS // (rows * lengths[order[start]]))
        yield order[start:stop]
        start = stop
