"""Maximum likelihood of the next token: language models, and translation by teacher forcing."""

from __future__ import annotations

from weft.batch import IGNORED, Batch
from weft.nn import Auxiliary, Decoder, EncoderDecoder, Layout
from weft.objectives.loss import Loss


def layout(batch: Batch) -> Layout:
    """Where a batch's tokens sit."""
    return Layout(order=batch.order, segments=batch.segments)


def count(batch: Batch) -> int:
    """How many places of a batch predict something."""
    return 0 if batch.labels is None else int((batch.labels != IGNORED).sum())


def _none(auxiliary: Auxiliary) -> None:
    """A term that nobody weighs would vanish without a word."""
    if auxiliary:
        raise ValueError(f"this objective has no weights for the model's auxiliary terms {', '.join(auxiliary)}")


class NextToken:
    """-log p(token | the tokens before it) of a decoder's rows."""

    def counts(self, batch: Batch) -> dict[str, int]:
        return {"loss": count(batch)}

    def losses(self, module: Decoder, batch: Batch) -> dict[str, Loss]:
        assert batch.labels is not None
        hidden, auxiliary = module(batch.tokens, layout(batch))
        _none(auxiliary)
        return {"loss": Loss(module.nats(hidden, batch.labels, ignored=IGNORED), count(batch))}


class Translate:
    """-log p(target token | the target before it, the source) of an encoder–decoder's pairs (teacher forcing)."""

    def counts(self, batch: Batch) -> dict[str, int]:
        return {"loss": count(batch)}

    def losses(self, module: EncoderDecoder, batch: Batch) -> dict[str, Loss]:
        if batch.source is None:
            raise ValueError("this objective needs pairs: the batch has no source side")
        assert batch.labels is not None
        hidden, auxiliary = module(batch.source.tokens, batch.tokens, layout(batch.source), layout(batch))
        _none(auxiliary)
        return {"loss": Loss(module.nats(hidden, batch.labels, ignored=IGNORED), count(batch))}
