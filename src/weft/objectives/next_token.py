"""Maximum likelihood of the next token: language models, and translation by teacher forcing."""

from __future__ import annotations

from torch import Tensor

from weft.batch import IGNORED, Batch
from weft.nn import Auxiliary, Decoder, EncoderDecoder, Layout, balance
from weft.objectives.loss import Loss


def layout(batch: Batch) -> Layout:
    """Where a batch's tokens sit."""
    return Layout(order=batch.order, segments=batch.segments)


def count(batch: Batch) -> int:
    """How many places of a batch predict something."""
    return 0 if batch.labels is None else int((batch.labels != IGNORED).sum())


class _Likelihood:
    """What the two have in common: -log p of the labels, and the balance of a model's experts where it is weighed.

    balance: the weight of the term "balance" (Fedus et al. 2021, eq. 4; theirs is 0.01), as a mean over a step's
    micro-batches by their labels; None: there is no such term, and a model that returns one is refused. It couples the
    samples of a micro-batch: how they are put together changes it.
    """

    def __init__(self, *, balance: float | None = None) -> None:
        """ValueError for a weight below 0."""
        if balance is not None and not balance >= 0:
            raise ValueError(
                f"balance = {balance}, but experts are balanced by a weight of at least 0 (None: not at all)"
            )
        self.balance = balance

    @property
    def couples(self) -> tuple[str, ...]:
        """The terms that couple the samples of a micro-batch."""
        return () if self.balance is None else ("balance",)

    def counts(self, batch: Batch) -> dict[str, int]:
        """The places that predict something."""
        return dict.fromkeys(("loss", *self.couples), count(batch))

    def _losses(
        self, module: Decoder | EncoderDecoder, hidden: Tensor, auxiliary: Auxiliary, batch: Batch
    ) -> dict[str, Loss]:
        """The terms of hidden states [B, T, D]; a balance of nothing where no experts are trained."""
        weighed = {} if self.balance is None or auxiliary is None else {"balance": auxiliary["balance"]}
        labels = asked(batch, {name: term for name, term in (auxiliary or {}).items() if name not in weighed})
        nats = module.nats(hidden, labels, ignored=IGNORED)
        losses = {"loss": Loss(nats, count(batch))}
        if self.balance is not None:
            uneven = balance(weighed["balance"]) if weighed else nats * 0.0
            losses["balance"] = Loss(uneven * count(batch), count(batch), self.balance)
        return losses


class NextToken(_Likelihood):
    """-log p(token | the tokens before it) of a decoder's rows."""

    def losses(self, module: Decoder, batch: Batch) -> dict[str, Loss]:
        """The term "loss", and "balance" where it is weighed."""
        hidden, auxiliary = module(batch.tokens, layout(batch))  # [B, T, D]
        return self._losses(module, hidden, auxiliary, batch)


class Translate(_Likelihood):
    """-log p(target token | the target before it, the source) of an encoder–decoder's pairs (teacher forcing)."""

    def losses(self, module: EncoderDecoder, batch: Batch) -> dict[str, Loss]:
        """The term "loss", and "balance" (of the decoder's experts) where it is weighed. ValueError for a batch without
        a source."""
        if batch.source is None:
            raise ValueError("this objective needs pairs, and the batch has no source side: give data of pairs")
        hidden, auxiliary = module(batch.source.tokens, batch.tokens, layout(batch.source), layout(batch))  # [B, T, D]
        return self._losses(module, hidden, auxiliary, batch)


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
