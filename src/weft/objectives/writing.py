"""Maximum likelihood of the next token: language models, and translation by teacher forcing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from weft.batch import IGNORED, Batch
from weft.nn import Auxiliary, Decoder, EncoderDecoder, Layout, Writer, balance
from weft.objectives.loss import TERM, Loss, Objective


def layout(batch: Batch) -> Layout:
    """Where a batch's tokens sit."""
    return Layout(order=batch.order, segments=batch.segments, groups=batch.groups)


def count(batch: Batch) -> int:
    """How many places of a batch predict something."""
    return 0 if batch.labels is None else int((batch.labels != IGNORED).sum())


def there(batch: Batch) -> Tensor:
    """The places that hold a token, of documents of which anything is asked, bool [B, T]."""
    labels = asked(batch, None)
    segments = torch.ones_like(labels) if batch.segments is None else batch.segments.clamp(min=0)  # [B, T]
    wanted = segments.new_zeros(len(segments), int(segments.max()) + 1)  # [B, segments]
    wanted.scatter_add_(1, segments, (labels != IGNORED).long())
    return (segments > 0) & (wanted.gather(1, segments) > 0)


@dataclass(frozen=True)
class Writing(Objective):
    """-log p of labels, each place's given what it sees; and the balance of a model's experts where it is weighed.

    balance: the weight of the term "balance" (Fedus et al. 2021, eq. 4; theirs is 0.01), as a mean over a step's
    micro-batches by their labels; None: there is no such term, and a model that returns one is refused. It couples the
    samples of a micro-batch: how they are put together changes it.
    """

    balance: float | None = None

    def __post_init__(self) -> None:
        if self.balance is not None and not self.balance >= 0:
            raise ValueError(
                f"balance = {self.balance}, but experts are balanced by a weight of at least 0 (None: not at all)"
            )

    @property
    def couples(self) -> tuple[str, ...]:
        """The terms that couple the samples of a micro-batch."""
        return () if self.balance is None else ("balance",)

    def counts(self, batch: Batch) -> dict[str, int]:
        """The places that predict something."""
        return dict.fromkeys((TERM, *self.couples), count(batch))

    def terms(self, module: Writer, hidden: Tensor, auxiliary: Auxiliary, batch: Batch) -> dict[str, Loss]:
        """The terms of hidden states [B, T, D]; a balance of nothing where no experts are trained."""
        weighed = {} if self.balance is None or auxiliary is None else {"balance": auxiliary["balance"]}
        labels = asked(batch, {name: term for name, term in (auxiliary or {}).items() if name not in weighed})
        nats = module.nats(hidden, labels, ignored=IGNORED)
        losses = {TERM: Loss(nats, count(batch))}
        if self.balance is not None:
            uneven = balance(weighed["balance"]) if weighed else nats * 0.0
            losses["balance"] = Loss(uneven * count(batch), count(batch), self.balance)
        return losses


@dataclass(frozen=True)
class NextToken(Writing):
    """-log p(token | the tokens before it) of a decoder's rows: causal language modelling. A batch's source is what the
    decoder is given beside them (images, see `Decoder.insert`)."""

    carriers = (Decoder,)

    def losses(self, module: Decoder, batch: Batch) -> dict[str, Loss]:
        """The term "loss", and "balance" where it is weighed."""
        given = () if batch.source is None else (None, batch.source.tokens, layout(batch.source))
        hidden, auxiliary = module(batch.tokens, layout(batch), *given)  # [B, T, D]
        return self.terms(module, hidden, auxiliary, batch)


@dataclass(frozen=True)
class Translate(Writing):
    """-log p(target token | the target before it, the source) of an encoder–decoder's pairs (teacher forcing).

    smoothing ε: the total is that against (1 - ε) · the label + ε · all tokens alike (Szegedy et al. 2016; Vaswani et
    al. 2017, §5.4): -log p and, weighed by ε, the term "smoothing", how far the label's score is above the mean of all
    scores. Held-out figures are of -log p alone.
    """

    smoothing: float = 0.0
    carriers = (EncoderDecoder,)
    pairs = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing = {self.smoothing}, but labels are smoothed by at least 0 and below 1")

    def counts(self, batch: Batch) -> dict[str, int]:
        """The places that predict something."""
        return super().counts(batch) | ({"smoothing": count(batch)} if self.smoothing else {})

    def losses(self, module: EncoderDecoder, batch: Batch) -> dict[str, Loss]:
        """The term "loss"; "balance" (of the decoder's experts) and "smoothing" where they are weighed. ValueError for
        a batch without a source."""
        if batch.source is None:
            raise ValueError("this objective needs pairs, and the batch has no source side: give data of pairs")
        hidden, auxiliary = module(batch.source.tokens, batch.tokens, layout(batch.source), layout(batch))  # [B, T, D]
        losses = self.terms(module, hidden, auxiliary, batch)
        if self.smoothing:
            margin = above_mean(module, hidden, asked(batch, None))
            losses["smoothing"] = Loss(margin, count(batch), self.smoothing)
        return losses


def above_mean(module: Writer, hidden: Tensor, labels: Tensor) -> Tensor:
    """Σ score(label) - mean score, fp32, over the labels that are not IGNORED. hidden [B, T, D], labels int64 [B, T].

    Cross-entropy against a uniform target is logsumexp - the mean score, so that smoothing adds this to -log p. The
    mean over the vocabulary is that of a linear head's rows, and the scores themselves are never held.
    """
    places, head = labels != IGNORED, module.head
    x, wanted = hidden[places], labels[places]  # [N, D], [N]
    table = module.table if head.weight is None else head.weight
    assert table is not None, "a tied head reads a table"
    if head.softcap is not None:
        scores = module.logits(x).float()  # [N, V]
        return (scores.gather(-1, wanted[:, None])[:, 0] - scores.mean(dim=-1)).sum()
    rows = table.float()[wanted] - table.float().mean(dim=0)  # [N, D]
    margin = (x.float() * rows).sum() * head.scale
    if head.bias is not None:
        margin = margin + (head.bias.float()[wanted] - head.bias.float().mean()).sum()
    return margin


def asked(batch: Batch, auxiliary: Auxiliary) -> Tensor:
    """The batch's labels; ValueError where there are none, or for terms of the model's that nobody weighs."""
    unweighed(auxiliary)
    if batch.labels is None:
        raise ValueError(f"the batch has no labels: give what each place predicts, {IGNORED} where nothing")
    return batch.labels


def unweighed(auxiliary: Auxiliary) -> None:
    """ValueError where a model returns terms that nobody weighs: they would vanish without a word."""
    if auxiliary:
        raise ValueError(
            f"this objective has no weights for the model's auxiliary terms {', '.join(auxiliary)}: "
            "train with one that has, or a model without them"
        )
