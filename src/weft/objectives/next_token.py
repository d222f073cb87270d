"""Maximum likelihood of the next token: language models, and translation by teacher forcing."""

from __future__ import annotations

from torch import Tensor

from weft.batch import IGNORED, Batch
from weft.nn import Auxiliary, Decoder, EncoderDecoder, Layout
from weft.objectives.loss import Loss


def layout(batch: Batch) -> Layout:
    """Where a batch's tokens sit."""
    return Layout(order=batch.order, segments=batch.segments)


def count(batch: Batch) -> int:
    """How many places of a batch predict something."""
    return 0 if batch.labels is None else int((batch.labels != IGNORED).sum())


class NextToken:
    """-log p(token | the tokens before it) of a decoder's rows."""

    def counts(self, batch: Batch) -> dict[str, int]:
        """The places that predict something."""
        return {"loss": count(batch)}

    def losses(self, module: Decoder, batch: Batch) -> dict[str, Loss]:
        """One term, "loss"."""
        hidden, auxiliary = module(batch.tokens, layout(batch))  # [B, T, D]
        return {"loss": _likelihood(module, hidden, auxiliary, batch)}


class Translate:
    """-log p(target token | the target before it, the source) of an encoder–decoder's pairs (teacher forcing)."""

    def counts(self, batch: Batch) -> dict[str, int]:
        """The places of the targets that predict something."""
        return {"loss": count(batch)}

    def losses(self, module: EncoderDecoder, batch: Batch) -> dict[str, Loss]:
        """One term, "loss". ValueError for a batch without a source."""
        if batch.source is None:
            raise ValueError("this objective needs pairs, and the batch has no source side: give data of pairs")
        hidden, auxiliary = module(batch.source.tokens, batch.tokens, layout(batch.source), layout(batch))  # [B, T, D]
        return {"loss": _likelihood(module, hidden, auxiliary, batch)}


def _likelihood(module: Decoder | EncoderDecoder, hidden: Tensor, auxiliary: Auxiliary, batch: Batch) -> Loss:
    """Σ -log p of the batch's labels from hidden states [B, T, D]."""
    labels = asked(batch, auxiliary)
    return Loss(module.nats(hidden, labels, ignored=IGNORED), count(batch))


def asked(batch: Batch, auxiliary: Auxiliary) -> Tensor:
    """The batch's labels; ValueError where there are none, or for terms of the model's that nobody weighs."""
    if auxiliary:  # they would vanish without a word
        raise ValueError(
            f"this objective has no weights for the model's auxiliary terms {', '.join(auxiliary)}: "
            "train with one that has, or a model without them"
        )
    if batch.labels is None:
        raise ValueError(f"the batch has no labels: give what each place predicts, {IGNORED} where nothing")
    return batch.labels
