"""The least that a model has to beat: one guess for every place."""

from __future__ import annotations

import torch
from torch.nn import Module

from weft.batch import Batch, Dataset
from weft.evaluate.perplexity import ROWS, batches
from weft.objectives import Objective


@torch.no_grad()
def constant_nats(module: Module, dataset: Dataset[Batch], objective: Objective, *, rows: int = ROWS) -> float | None:
    """Mean -log p, in nats, of the best constant predictor, for the labels of which `likelihood` gives a model's: see
    `Objective.constant`. The module, as it stands, is asked where they hang on it. None where there are none."""
    device = next(module.parameters()).device
    return objective.constant(module, (batch.to(device) for batch, _ in batches(dataset, rows)))
