"""Sentence vectors by contrast (Gao et al. 2021, SimCSE): a text is nearest to itself, read with other dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.batch import IGNORED, Batch
from weft.nn import Attention, Decoder, Dropout, Encoder
from weft.objectives.loss import TERM, Loss, Objective
from weft.objectives.reading import types_of
from weft.objectives.tasks_head import pooled
from weft.objectives.wrapped import bare
from weft.objectives.writing import layout, unweighed

Pooling = Literal["mean", "first", "last"]


@dataclass(frozen=True)
class Contrast(Objective):
    """-log p(which of a batch's texts is the same) at softmax(cosine / temperature), each text read twice.

    What differs between the two readings is dropout alone, so that a model without any learns nothing (model.dropout).
    The term couples the rows of a micro-batch: the others are what a row is told apart from, and a micro-batch of one
    row asks nothing. pooling: of a row's tokens, their mean, the first or the last.
    """

    temperature: float = 0.05
    pooling: Pooling = "mean"
    carriers = (Encoder, Decoder)
    likelihood = False
    couples = (TERM,)

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature = {self.temperature}, but cosines are divided by a number above 0")

    def check(self, module: nn.Module) -> None:
        """ValueError for a module of another kind, and for one that drops nothing out."""
        super().check(module)
        if not any(_dropped(part) > 0 for part in module.modules()):
            raise ValueError(
                f"{self.title} reads a text twice with other dropout, and this model has none (model.dropout=0), so that "
                "both readings are one: set model.dropout=0.1, say"
            )

    def counts(self, batch: Batch) -> dict[str, int]:
        """Its rows that hold anything, where there are two."""
        rows = int(rows_of(batch).sum())
        return {TERM: rows if rows > 1 and self._asked(batch) else 0}

    def answers(self, batch: Batch) -> None:
        """There are none: a row is its own."""

    def _asked(self, batch: Batch) -> bool:
        return batch.labels is None or bool((batch.labels != IGNORED).any())

    def losses(self, module: Any, batch: Batch) -> dict[str, Loss]:
        """The term "loss"."""
        if batch.source is not None:
            raise ValueError("texts are contrasted, and these are pairs: give data of texts")
        here, count = rows_of(batch), self.counts(batch)[TERM]
        one, other = (self._vectors(module, batch)[here] for _ in range(2))  # [N, D] each
        scores = one @ other.mT / self.temperature  # [N, N]
        if not count:
            return {TERM: Loss(scores.sum() * 0.0, 0)}
        itself = torch.arange(len(scores), device=scores.device)
        return {TERM: Loss(functional.cross_entropy(scores, itself, reduction="sum"), count)}

    def _vectors(self, module: Any, batch: Batch) -> Tensor:
        """A vector of length 1 for each row, fp32 [B, D]."""
        model = bare(module)
        types = (types_of(model, batch),) if isinstance(model, Encoder) else ()
        x, auxiliary = module(batch.tokens, layout(batch), *types)  # [B, T, D]
        unweighed(auxiliary)
        return functional.normalize(pooled(x, batch, self.pooling), dim=-1)


def rows_of(batch: Batch) -> Tensor:
    """The rows that hold a token, bool [B]."""
    if batch.segments is None:
        return torch.ones(len(batch.tokens), dtype=torch.bool, device=batch.tokens.device)
    return (batch.segments > 0).any(dim=1)


def _dropped(part: nn.Module) -> float:
    """The share that a part of a module drops out by itself."""
    if isinstance(part, Dropout):
        return part.rate
    return part.dropout if isinstance(part, Attention) else 0.0
