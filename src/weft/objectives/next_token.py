"""Maximum likelihood of the next token: language models, and translation by teacher forcing."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Module, functional

from weft.batch import IGNORED, Batch
from weft.nn import Auxiliary, Layout
from weft.objectives.loss import Loss

ROWS = 8192  # logits held at once; a large vocabulary goes through in pieces


def layout(batch: Batch) -> Layout:
    """Where a batch's tokens sit."""
    return Layout(order=batch.order, segments=batch.segments)


def count(batch: Batch) -> int:
    """How many places of a batch predict something."""
    return 0 if batch.labels is None else int((batch.labels != IGNORED).sum())


def cross_entropy(module: Module, hidden: Tensor, labels: Tensor) -> Tensor:
    """Nats of all labels, summed in fp32. hidden [B, T, D], labels int64 [B, T]; IGNORED ones add nothing."""
    flat, wanted = hidden.flatten(0, 1), labels.flatten()  # [B·T, D], [B·T]
    total = hidden.new_zeros((), dtype=torch.float32)
    for part, label in zip(flat.split(ROWS), wanted.split(ROWS), strict=True):
        scores = module.logits(part).float()  # type: ignore[operator]  # [n, V]
        total = total + functional.cross_entropy(scores, label, ignore_index=IGNORED, reduction="sum")
    return total


def _none(auxiliary: Auxiliary) -> None:
    """A term that nobody weighs would vanish without a word."""
    if auxiliary:
        raise ValueError(f"this objective has no weights for the model's auxiliary terms {', '.join(auxiliary)}")


class NextToken:
    """-log p(token | the tokens before it) of a decoder's rows."""

    def counts(self, batch: Batch) -> dict[str, int]:
        return {"loss": count(batch)}

    def losses(self, module: Module, batch: Batch) -> dict[str, Loss]:
        assert batch.labels is not None
        hidden, auxiliary = module(batch.tokens, layout(batch))
        _none(auxiliary)
        return {"loss": Loss(cross_entropy(module, hidden, batch.labels), count(batch))}


class Translate:
    """-log p(target token | the target before it, the source) of an encoder–decoder's pairs (teacher forcing)."""

    def counts(self, batch: Batch) -> dict[str, int]:
        return {"loss": count(batch)}

    def losses(self, module: Module, batch: Batch) -> dict[str, Loss]:
        if batch.source is None:
            raise ValueError("this objective needs pairs: the batch has no source side")
        assert batch.labels is not None
        hidden, auxiliary = module(batch.source.tokens, batch.tokens, layout(batch.source), layout(batch))
        _none(auxiliary)
        return {"loss": Loss(cross_entropy(module, hidden, batch.labels), count(batch))}
