"""Sentence vectors by contrast (Gao et al. 2021, SimCSE): a text is nearest to itself, read with other dropout."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.batch import IGNORED, Batch, Dataset, Place, Tokenizer
from weft.nn import Attention, Decoder, Dropout, Encoder
from weft.objectives.loss import TERM, Loss, Objective
from weft.objectives.noise import Words
from weft.objectives.reading import types_of
from weft.objectives.tasks_head import pooled
from weft.objectives.turned import Turned, one_document, padded
from weft.objectives.wrapped import bare
from weft.objectives.writing import layout, unweighed

Pooling = Literal["mean", "first", "last"]
Unit = Literal["sentences", "documents"]
TEXT = "text"  # what a row is asked: which of the batch's texts it is; the sample's number


@dataclass(frozen=True)
class Contrast(Objective):
    """-log p(which of a batch's texts is the same) at softmax(cosine / temperature), each text read twice.

    unit: what a text is, see `OneText`: of each row of the data one of its sentences, or of its documents.

    What differs between the two readings is dropout alone, so that a model without any learns nothing, and is refused
    (model.dropout). The term couples the rows of a micro-batch: the others are what a row is told apart from, and a
    micro-batch of one row asks nothing. pooling: of a row's tokens, their mean, the first or the last.

    Held-out figures are of a model that drops nothing out: both readings are one, and what is measured is how far apart
    it holds different texts.
    """

    temperature: float = 0.05
    pooling: Pooling = "mean"
    unit: Unit = "sentences"
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
                f"{self.title} reads a text twice with other dropout, and this model has none (model.dropout=0), so "
                "that both readings are one: set model.dropout=0.1, say"
            )

    def turn(self, data: Dataset[Batch], tokenizer: Tokenizer, seed: int) -> Turned:
        """Rows of one text each."""
        return OneText(data, self, tokenizer, seed)

    def counts(self, batch: Batch) -> dict[str, int]:
        """Its texts, where there are two."""
        texts = int((batch.asked[TEXT] != IGNORED).sum()) if TEXT in batch.asked else 0
        return {TERM: texts if texts > 1 else 0}

    def constant(self, module: Any, batches: Iterable[Batch]) -> float | None:
        """log N for each of the N texts of a batch: of one vector for all, each text is as near as any other."""
        sizes = [size for batch in batches if (size := self.counts(batch)[TERM])]
        return sum(size * math.log(size) for size in sizes) / sum(sizes) if sizes else None

    def losses(self, module: Any, batch: Batch) -> dict[str, Loss]:
        """The term "loss"."""
        if TEXT not in batch.asked:
            raise ValueError(
                "texts are contrasted, and the batch does not say where any is: turn the data by this objective"
            )
        here, count = batch.asked[TEXT] != IGNORED, self.counts(batch)[TERM]
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


class OneText(Turned):
    """Rows as BEGIN text END, one text of each row of the data, padded on the right; a row without any asks nothing.

    The text is drawn anew in every epoch, of those sentences (`Words.ends_sentence`) or documents that lie in the row
    whole, where there are any, else of its parts of some; what is longer than fits is cut. ValueError for rows that
    keep several documents apart.
    """

    purpose = "text"

    def __init__(self, data: Dataset[Batch], how: Contrast, tokenizer: Tokenizer, seed: int = 0) -> None:
        super().__init__(data, tokenizer, seed)
        self.how = how
        self._words = Words(tokenizer) if how.unit == "sentences" else None

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples, a text of each."""
        rows = self.texts(places)
        one_document(rows, f"{self.how.title} makes a text of each row")
        real = torch.ones_like(rows.tokens, dtype=torch.bool) if rows.segments is None else rows.segments > 0
        begin, end = torch.tensor([self.tokenizer.begin]), torch.tensor([self.tokenizer.end])
        lines, kinds = list[Tensor](), torch.full((len(places),), IGNORED)
        for row, place in enumerate(places):
            found = self._found(rows.tokens[row][real[row]])
            if found:
                text = found[int(torch.randint(len(found), (), generator=self.draw(place)))]
                kinds[row] = place.sample
            else:
                text = begin[:0]
            lines.append(torch.cat((begin, text[: max(0, rows.tokens.shape[1] - 2)], end)))
        segments = padded([torch.ones_like(line) for line in lines], 0)
        return Batch(padded(lines, int(end)), segments=segments, asked={TEXT: kinds}, samples=rows.samples)

    def _found(self, ids: Tensor) -> list[Tensor]:
        """The texts of a row's tokens [n]: the whole ones, where there are any."""
        outside = (ids == self.tokenizer.begin) | (ids == self.tokenizer.end)  # [n]
        last = outside if self._words is None else outside | self._words.ends_sentence(ids)  # [n], of a text
        bounds = [0, *(last[:-1].nonzero()[:, 0] + 1).tolist(), len(ids)]
        parts = [(start, ids[start:stop][~outside[start:stop]], stop) for start, stop in pairwise(bounds)]
        parts = [part for part in parts if len(part[1])]
        whole = [text for start, text, stop in parts if start and bool(last[stop - 1])]
        return whole or [text for _, text, _ in parts]


def _dropped(part: nn.Module) -> float:
    """The share that a part of a module drops out by itself."""
    if isinstance(part, Dropout):
        return part.rate
    return part.dropout if isinstance(part, Attention) else 0.0
