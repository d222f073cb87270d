"""Texts held against images: of a batch of pairs, which text belongs to which image."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from weft.batch import PICTURE, Batch
from weft.nn.towers import Towers
from weft.objectives.loss import TERM, Loss, Objective
from weft.objectives.wrapped import bare
from weft.objectives.writing import layout, unweighed


@dataclass(frozen=True)
class Matched(Objective):
    """Asked of two towers about N pairs: rows are texts, their source the images.

    The term couples the rows of a micro-batch: the others are what a pair is told apart from, and a micro-batch of one
    pair asks nothing. Texts that are equal belong to each other's images as well, and so do all texts of one picture,
    where the papers take each pair for one of its own (`related`).
    """

    carriers = (Towers,)
    of_signals = True
    likelihood = False
    couples = (TERM,)

    def counts(self, batch: Batch) -> dict[str, int]:
        """Its pairs, where there are two."""
        rows = len(batch.tokens)
        return {TERM: rows if rows > 1 else 0}

    def answers(self, batch: Batch) -> None:
        """None: what a pair is told apart from hangs on the batch."""

    def losses(self, module: Any, batch: Batch) -> dict[str, Loss]:
        """The term "loss". ValueError for a batch of texts without images."""
        if batch.source is None:
            raise ValueError(f"{self.title} is asked of texts with an image each, and these have none: give captions")
        vectors, auxiliary = module(batch.source.tokens, batch.tokens, layout(batch.source), layout(batch))
        unweighed(auxiliary)
        texts, images = (side.float() for side in vectors)  # [N, E] each
        towers = bare(module)
        assert isinstance(towers, Towers)
        nats, count = self.nats(towers.scores(texts, images), belongs(batch)), self.counts(batch)[TERM]
        return {TERM: Loss(nats if count else nats * 0.0, count)}

    @abstractmethod
    def nats(self, scores: Tensor, right: Tensor) -> Tensor:
        """The sum over the pairs: scores fp32 [N, N], a row a text; right bool [N, N], which belong together."""


@dataclass(frozen=True)
class ContrastPairs(Matched):
    """(-log p(which image | text) - log p(which text | image)) / 2 of softmaxes over the batch (Radford et al. 2021,
    CLIP, fig. 3), at the model's learned temperature, which is not held below 100 here. Among several right ones the
    target is shared evenly."""

    def constant(self, module: Any, batches: Iterable[Batch]) -> float | None:
        """log N for each of the N pairs of a batch: of one vector for all, each is as near as any other."""
        sizes = [size for batch in batches if (size := self.counts(batch)[TERM])]
        return sum(size * math.log(size) for size in sizes) / sum(sizes) if sizes else None

    def nats(self, scores: Tensor, right: Tensor) -> Tensor:
        """See `Matched`."""
        both = [
            functional.cross_entropy(side, one.float() / one.sum(dim=1, keepdim=True), reduction="sum")
            for side, one in ((scores, right), (scores.mT, right.mT))
        ]
        return (both[0] + both[1]) / 2


@dataclass(frozen=True)
class SigmoidPairs(Matched):
    """-log sigmoid(z · score) of every text and every image of the batch, z = 1 where they belong together and else -1,
    at the model's learned temperature and bias; a pair is asked N times (Zhai et al. 2023, SigLIP, eq. 1)."""

    def constant(self, module: Any, batches: Iterable[Batch]) -> float | None:
        """N · H(share of all that belong together), of the best one score for all."""
        found = [belongs(batch) for batch in batches if self.counts(batch)[TERM]]
        asked, pairs = sum(right.numel() for right in found), sum(len(right) for right in found)
        share = sum(int(right.sum()) for right in found) / asked if asked else 0.0
        if not 0 < share < 1:
            return 0.0 if found else None
        return asked / pairs * -(share * math.log(share) + (1 - share) * math.log(1 - share))

    def nats(self, scores: Tensor, right: Tensor) -> Tensor:
        """See `Matched`."""
        return functional.binary_cross_entropy_with_logits(scores, right.float(), reduction="sum")


def belongs(batch: Batch) -> Tensor:
    """Which texts (rows) and images (columns) of a batch belong together, bool [N, N]: see `related`. Texts are one
    where their tokens are, images where `asked["picture"]` int64 [N] says so; without it each is its own."""
    tokens = batch.tokens if batch.segments is None else batch.tokens.where(batch.segments > 0, -1)  # [N, T]
    texts = torch.unique(tokens, dim=0, return_inverse=True)[1]  # [N]
    pictures = batch.asked.get(PICTURE)
    return related(texts, torch.arange(len(texts), device=texts.device) if pictures is None else pictures)


def related(texts: Tensor, pictures: Tensor) -> Tensor:
    """Of N pairs, each the number of its text and of its picture, int64 [N]: whether the text of one and the picture of
    another are a pair of any row, bool [N, N]."""
    texts, pictures = (torch.unique(side, return_inverse=True)[1] for side in (texts, pictures))  # from 0 on
    pairs = torch.zeros(int(texts.max()) + 1, int(pictures.max()) + 1, dtype=torch.bool, device=texts.device)
    pairs[texts, pictures] = True
    return pairs[texts][:, pictures]
