"""SpanBERT's span boundary objective (Joshi et al. 2020): what stands in a hidden span, told from its two ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from weft.batch import IGNORED, Batch, Dataset, Place, Tokenizer
from weft.models import Blueprint
from weft.nn import Encoder, LayerNorm
from weft.nn.encoder import Head, SpanHead, TokenHead
from weft.objectives.loss import Loss
from weft.objectives.masked import MaskedRows, MaskedTokens, Unit
from weft.objectives.noise.spans import runs
from weft.objectives.reading import Headed, head_of
from weft.objectives.writing import asked, count

SPAN = "span"  # the head, and its term


@dataclass(frozen=True)
class SpanBoundary(MaskedTokens):
    """Masked spans, each token asked for twice: of its own place ("loss"), and of the states just outside its span and
    how far into it the token stands ("span"), by the head of that name.

    A span that touches its document's first or last place in the row has no state on that side, and is asked for once;
    so is a token more than `longest` places into its span. What is hidden on both sides of a document's end is two
    spans.
    """

    unit: Unit = "spans"
    longest: int = 10

    @property
    def makers(self) -> dict[str, Callable[[Blueprint], Head]]:
        """Both heads."""
        return super().makers | {SPAN: self._span}

    def counts(self, batch: Batch) -> dict[str, int]:
        """The places that are asked for, and those of them that are asked for from their span's ends."""
        return super().counts(batch) | {SPAN: int((batch.asked["first"] > 0).sum()) if count(batch) else 0}

    def turn(self, data: Dataset[Batch], tokenizer: Tokenizer, seed: int) -> MaskedRows:
        """The same rows with spans hidden, and where each begins and ends."""
        return SpannedRows(data, self, tokenizer, seed)

    def _span(self, blueprint: Blueprint) -> Head:
        """SpanBERT's, with scores of its own."""
        width, norm = blueprint.config.width, partial(LayerNorm, blueprint.config.width)
        token = TokenHead(width, blueprint.config.vocab, norm=norm(), tied=False)
        return SpanHead(token, longest=self.longest, norm=norm())

    def terms(self, module: Encoder | Headed, x: Tensor, batch: Batch) -> dict[str, Loss]:
        """Both terms."""
        labels = asked(batch, None)
        counts, first, last = self.counts(batch), batch.asked["first"], batch.asked["last"]  # [B, T] each
        row, at = (first > 0).nonzero(as_tuple=True)  # [N] each
        if not counts[SPAN]:
            row, at = row[:0], at[:0]
        first, last = first[row, at], last[row, at]
        head = head_of(module, SPAN)
        assert isinstance(head, SpanHead)
        if self.longest > head.places.weight.shape[0]:
            raise ValueError(
                f"longest = {self.longest} places of a span, but the head {SPAN!r} tells {head.places.weight.shape[0]} "
                "apart: set objective.longest to that, or build a model whose head has more"
            )
        read = head.read(x[row, first - 1], x[row, last + 1], at - first)  # [N, 2·D + place]
        nats = module.nats(read, labels[row, at], SPAN)
        return super().terms(module, x, batch) | {SPAN: Loss(nats, counts[SPAN])}


class SpannedRows(MaskedRows):
    """Rows with spans hidden; of each hidden place where its span begins, and its last place: 0 where it is not asked
    for from there."""

    how: SpanBoundary

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples."""
        rows = super().batch(places)
        labels = asked(rows, None)
        first, last = torch.zeros_like(labels), torch.zeros_like(labels)
        segments = torch.ones_like(labels) if rows.segments is None else rows.segments
        for row, hidden in enumerate(labels != IGNORED):
            for number in segments[row][hidden].unique().tolist():
                own = segments[row] == number  # [T]
                for start, stop in runs(hidden & own):
                    if own[start - 1 : start].any() and own[stop : stop + 1].any():
                        asked_for = slice(start, min(stop, start + self.how.longest))
                        first[row, asked_for], last[row, asked_for] = start, stop - 1
        return replace(rows, asked={**rows.asked, "first": first, "last": last})
