"""The least that a model has to beat: one guess for every place."""

from __future__ import annotations

from collections import Counter

import torch

from weft.batch import Batch, Dataset
from weft.data.order import places
from weft.objectives import Objective


def constant_nats(dataset: Dataset[Batch], objective: Objective, *, rows: int = 64) -> float | None:
    """Mean -log p, in nats, of the best constant predictor: one distribution for all labels of an objective's term
    "loss", their own shares in this data set. That is the entropy of the labels, which no other constant goes below.

    None where the labels are not known before the model is asked, or there are none.
    """
    counts = Counter[int]()
    for start in range(0, len(dataset), rows):
        batch = dataset.batch(places(0, range(start, min(start + rows, len(dataset)))))
        labels = objective.answers(batch)
        if labels is None:
            return None
        counts.update(dict(zip(*(part.tolist() for part in labels.unique(return_counts=True)), strict=True)))
    if not counts:
        return None
    shares = torch.tensor(list(counts.values()), dtype=torch.float64) / counts.total()
    return float(-(shares * shares.log()).sum())
