"""Vectors of signals by contrast (Chen et al. 2020, SimCLR): a signal is nearest to itself, varied otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.batch import Batch, Dataset, Place
from weft.models import Blueprint
from weft.nn import Encoder, Linear
from weft.nn.encoder import Head
from weft.objectives.loss import TERM, Loss
from weft.objectives.reading import Headed, Reading
from weft.objectives.turned import Varied

OTHER = 1 << 40  # what is added to an epoch for a sample's second variation


@dataclass(frozen=True)
class Views(Reading):
    """-log p(which of the other 2N - 1 views is of the same signal) at softmax(cosine / temperature), of N signals each
    varied twice (Chen et al. 2020, eq. 1).

    The vectors are those of a head beside the model, two layers on its pooled state (§4.2), that goes when the training
    ends: width, of its output. The term couples the rows of a micro-batch: the others are what a row is told apart
    from, and a micro-batch of one signal asks nothing. Signals that are not varied (`data.augment`) are told apart at
    once, and nothing is learned; held-out ones never are, so that held-out figures are of how far apart signals lie.
    """

    of_signals = True
    temperature: float = 0.2
    width: int = 64
    asks = "views"
    alone = False
    couples = (TERM,)

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature = {self.temperature}, but cosines are divided by a number above 0")

    def check(self, module: nn.Module) -> None:
        """Also ValueError for an encoder without a pooled state."""
        super().check(module)
        if isinstance(module, Encoder) and module.pooler is None:
            raise ValueError(f"{self.title} reads a row's pooled state, and this model has no pooler: build one")

    @property
    def heads(self) -> tuple[str, ...]:
        """None of the model's own: its projection is always beside it."""
        return ()

    def head(self, blueprint: Blueprint) -> Head:
        """The two layers."""
        return Projection(blueprint.config.width, self.width)

    def counts(self, batch: Batch) -> dict[str, int]:
        """Its views, where there are several signals."""
        rows = len(batch.tokens)
        return {TERM: rows if rows > 2 else 0}

    def answers(self, batch: Batch) -> None:
        """None: what a view is told apart from hangs on the batch."""

    def constant(self, module: Any, batches: Iterable[Batch]) -> float | None:
        """log(2N - 1) for each view of a batch of N signals."""
        sizes = [size for batch in batches if (size := self.counts(batch)[TERM])]
        return sum(size * math.log(size - 1) for size in sizes) / sum(sizes) if sizes else None

    def turn_signals(self, data: Dataset[Batch], seed: int) -> Dataset[Batch]:
        """Two views of each sample."""
        return Twice(data, seed)

    def terms(self, module: Encoder | Headed, x: Tensor, batch: Batch) -> dict[str, Loss]:
        """The term "loss"."""
        assert isinstance(module, Headed)
        head, count = module.heads[self.asks], self.counts(batch)[TERM]
        assert isinstance(head, Projection)
        vectors = functional.normalize(head(module.model.pool(x)).float(), dim=-1)  # [2N, W]
        scores = vectors @ vectors.mT / self.temperature  # [2N, 2N]
        if not count:
            return {TERM: Loss(scores.sum() * 0.0, 0)}
        itself = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
        other = torch.arange(len(scores), device=scores.device).roll(len(scores) // 2)  # [2N]
        nats = functional.cross_entropy(scores.masked_fill(itself, -torch.inf), other, reduction="sum")
        return {TERM: Loss(nats, count)}


class Projection(Head):
    """out(relu(dense(x))): x [B, D] -> [B, W]."""

    pooled = True

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.dense, self.out = Linear(width, width), Linear(width, inner)

    def forward(self, x: Tensor, table: Tensor | None = None) -> Tensor:
        return self.out(self.dense(x).relu())  # [B, W]


class Twice(Varied):
    """Each sample varied in two ways: N rows, and behind them the same N again."""

    purpose = "views"

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples, twice: 2N rows."""
        one = self.data.batch(places)
        other = self.data.batch([Place(place.epoch + OTHER, place.sample) for place in places])
        tokens = torch.cat((one.tokens, other.tokens))  # [2N, T, C]
        return Batch(tokens, samples=(*one.samples, *other.samples))
