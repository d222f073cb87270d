"""Labels in their order, without saying where each is: connectionist temporal classification."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from weft.batch import IGNORED, Batch
from weft.nn import Encoder
from weft.nn.vectors import CTCHead
from weft.objectives.loss import TERM, Loss
from weft.objectives.reading import Headed, Reading, head_of
from weft.objectives.wrapped import bare
from weft.objectives.writing import layout

ASKED = "labels"  # what a batch's label sequences are asked as


@dataclass(frozen=True)
class CTC(Reading):
    """-log p of a row's labels, `asked["labels"]` int64 [B, L], IGNORED behind the last, by the head "ctc": of all ways
    to say them, one a place, with repeats and blanks between (Graves et al. 2006, §3), in fp32.

    It counts labels, and 1 for a row in which nothing is said, whose places must all be blank. The mean of a step is
    therefore nats a label. ValueError for labels that are none of the head's or its blank, and for a row of fewer
    places than its labels need: one for each, and one between two that are equal.
    """

    of_signals = True
    asks = "ctc"

    def counts(self, batch: Batch) -> dict[str, int]:
        """Labels, at least 1 a row."""
        return {TERM: int(lengths_of(batch).clamp(min=1).sum())}

    def answers(self, batch: Batch) -> None:
        """None: which labels there are does not say where."""
        return

    def terms(self, module: Encoder | Headed, x: Tensor, batch: Batch) -> dict[str, Loss]:
        """The term "loss" of the states of a batch's places, x [B, T', D]."""
        encoder, head = bare(module), head_of(module, self.asks)
        if not isinstance(head, CTCHead):
            raise ValueError(f"{self.title} asks a head that says labels and blanks, not a {type(head).__name__}")
        assert isinstance(encoder, Encoder)
        lengths, labels = lengths_of(batch), batch.asked[ASKED]
        _check_labels(labels, head)
        there = places(encoder, batch, x.shape[1])  # [B]
        _check_places(labels, lengths, there, batch)
        scores = head(x).float().log_softmax(dim=-1).transpose(0, 1)  # [T', B, labels]
        targets = labels.clamp(min=0)[:, : max(1, int(lengths.max()))]
        nats = functional.ctc_loss(scores, targets, there, lengths, blank=head.blank, reduction="sum")
        return {TERM: Loss(nats, self.counts(batch)[TERM])}


def lengths_of(batch: Batch) -> Tensor:
    """How many labels each row has, int64 [B]. ValueError where the batch has none, or some stand behind padding."""
    if ASKED not in batch.asked or batch.asked[ASKED].ndim != 2:
        raise ValueError(f"this objective asks {ASKED!r}, int64 [rows, labels], and the batch does not say them")
    real = batch.asked[ASKED] != IGNORED
    if bool((real[:, 1:] & ~real[:, :-1]).any()):
        raise ValueError(f"a label stands behind {IGNORED}, which is padding: put a row's labels side by side")
    return real.sum(dim=1)


def places(encoder: Encoder, batch: Batch, width: int) -> Tensor:
    """At how many places of `width` an encoder says something of each row of a batch, int64 [B]."""
    segments = encoder.embed.lay(layout(batch), batch.tokens.shape[1]).segments
    if segments is None:
        return torch.full((len(batch.tokens),), width, device=batch.tokens.device)
    return (segments > 0).sum(dim=1)


def needed(labels: Tensor, lengths: Tensor) -> Tensor:
    """The fewest places that can say each row's labels: one for each, and one between two that are equal. labels int64
    [B, L], lengths [B] -> int64 [B]."""
    repeats = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] != IGNORED)
    return lengths + repeats.sum(dim=1)


def _check_labels(labels: Tensor, head: CTCHead) -> None:
    real = labels[labels != IGNORED]
    wrong = real[(real < 0) | (real >= head.labels) | (real == head.blank)]
    if len(wrong):
        raise ValueError(
            f"{int(wrong[0])} is none of this head's labels, which are 0 to {head.labels - 1} without its blank, "
            f"{head.blank}"
        )


def _check_places(labels: Tensor, lengths: Tensor, there: Tensor, batch: Batch) -> None:
    short = (needed(labels, lengths) > there).nonzero()
    if len(short):
        row = int(short[0])
        name = f"sample {batch.samples[row]}" if batch.samples else f"row {row}"
        raise ValueError(
            f"{name} has {int(lengths[row])} labels, which need {int(needed(labels, lengths)[row])} places, and the "
            f"model makes {int(there[row])} of it: leave it out, or choose a stem that joins fewer places"
        )
