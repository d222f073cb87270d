"""What a model is fine-tuned for: a class or a number of a row, a tag of each token, a span, one of several texts."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.batch import IGNORED, Batch
from weft.models import Blueprint
from weft.nn import Decoder, Encoder, EncoderDecoder, initialise
from weft.objectives.loss import TERM, Loss, Objective
from weft.objectives.tasks_head import Pooling, WithHead, real
from weft.objectives.wrapped import Load

LANGUAGE = "language"  # the term of a row's own tokens


@dataclass(frozen=True)
class Task(Objective):
    """Asked of a model (of an encoder–decoder its encoder) by one new linear layer, drawn N(0, 0.02²) as a function of
    the seed, with zero biases.

    dropout: of what that layer reads. layers: how many of the model's layers train with it, from the last one; None:
    all of the model; 0: only the new layer.
    """

    dropout: float = 0.1
    layers: int | None = None
    carriers = (Encoder, Decoder, EncoderDecoder)
    likelihood = False
    alone = False

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout = {self.dropout} of what the head reads: it is at least 0 and below 1")
        if self.layers is not None and self.layers < 0:
            raise ValueError(f"layers = {self.layers}: 0 trains the head alone, none the whole model")

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many scores the layer gives for what it reads."""

    @property
    def reads(self) -> Pooling | None:
        """What it reads of a row; None: each token's state."""
        return None

    @abstractmethod
    def summed(self, scores: Tensor, batch: Batch) -> Tensor:
        """The sum over what `counts` counts of the loss, fp32, of scores [B, C] or [B, T, C]."""

    def losses(self, module: Any, batch: Batch) -> dict[str, Loss]:
        """The term "loss"."""
        return {TERM: Loss(self.summed(module(batch).float(), batch), self.counts(batch)[TERM])}

    def counts(self, batch: Batch) -> dict[str, int]:
        """Its rows."""
        return {TERM: len(batch.tokens)}

    def wrap(self, module: nn.Module, blueprint: Blueprint, seed: int, load: Load) -> nn.Module:
        """The model with its head beside it; what is not to train takes no gradient."""
        assert isinstance(module, Encoder | Decoder | EncoderDecoder)
        width = blueprint.states
        if self.reads == "pooler" and isinstance(module, Encoder):
            width = module.pooled(width)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)  # not what the model's own weights were drawn from
            headed = WithHead(module, width, self.outputs, pooling=self.reads, dropout=self.dropout)
            initialise.normal(headed.out, std=0.02)
        headed.freeze(self.layers)
        return headed

    def check(self, module: nn.Module) -> None:
        """Also ValueError where the model has no pooler to read."""
        super().check(module)
        if self.reads == "pooler" and not (isinstance(module, Encoder) and module.pooler is not None):
            raise ValueError("pooling=pooler, and this model has no pooler: choose first, mean or last")

    def _why(self) -> str:
        return "choose an encoder, a decoder or an encoder–decoder"

    @property
    def title(self) -> str:
        """Its name, for messages."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class RowTask(Task):
    """Of a row as a whole. pooling: what is read of it, see `WithHead`. language: of a decoder, how much -log p of a
    row's own next tokens weighs beside it, each by its mean (Radford et al. 2018, eq. 5, where it is 0.5)."""

    pooling: Pooling = "pooler"
    language: float = 0.0

    @property
    def reads(self) -> Pooling:
        return self.pooling

    @abstractmethod
    def answers(self, batch: Batch) -> Tensor | None:
        """See `Objective`."""

    def losses(self, module: Any, batch: Batch) -> dict[str, Loss]:
        """The terms "loss" and, where it weighs anything, "language"."""
        if not self.language:
            return super().losses(module, batch)
        (scores, nats), counts = module(batch, language=True), self.counts(batch)
        loss = Loss(self.summed(scores.float(), batch), counts[TERM])
        return {TERM: loss, LANGUAGE: Loss(nats, counts[LANGUAGE], self.language)}

    def counts(self, batch: Batch) -> dict[str, int]:
        """Its rows, or groups of rows; and the tokens that follow one, where they are asked for."""
        found = {TERM: self.samples(batch)}
        return found | {LANGUAGE: int(real(batch).sum()) - len(batch.tokens)} if self.language else found

    def samples(self, batch: Batch) -> int:
        """What a loss is the mean over."""
        return len(batch.tokens)

    def wrap(self, module: nn.Module, blueprint: Blueprint, seed: int, load: Load) -> nn.Module:
        """See `Task.wrap`; where its tokens are asked for, the decoder's own head trains with the rest."""
        found = super().wrap(module, blueprint, seed, load)
        if self.language and self.layers is None and isinstance(module, Decoder):
            module.head.requires_grad_(True)
        return found

    def check(self, module: nn.Module) -> None:
        """Also ValueError for a weight that is none, and where the model writes nothing."""
        super().check(module)
        if not self.language >= 0:
            raise ValueError(f"language={self.language} is a weight: at least 0, 0.5 in GPT-1")
        if self.language and not isinstance(module, Decoder):
            raise ValueError(
                f"language={self.language} asks for each row's next tokens, which an encoder sees: leave it out"
            )


@dataclass(frozen=True)
class Classify(RowTask):
    """-log p of a row's class, `asked["label"]` int64 [B]."""

    classes: int = 2

    @property
    def outputs(self) -> int:
        return self.classes

    def answers(self, batch: Batch) -> Tensor:
        """The classes."""
        return batch.asked["label"]

    def summed(self, scores: Tensor, batch: Batch) -> Tensor:
        return functional.cross_entropy(scores, batch.asked["label"], reduction="sum")


@dataclass(frozen=True)
class Regress(RowTask):
    """The squared error of a row's number, `asked["label"]` fp32 [B]."""

    @property
    def outputs(self) -> int:
        return 1

    def answers(self, batch: Batch) -> None:
        """None: they are numbers."""

    def summed(self, scores: Tensor, batch: Batch) -> Tensor:
        return (scores[:, 0] - batch.asked["label"]).square().sum()


@dataclass(frozen=True)
class Choose(RowTask):
    """-log p of which of `choices` rows in turn is the right one, of which `asked["label"]` int64 [B · choices] has the
    number, in each of them."""

    choices: int = 4

    @property
    def outputs(self) -> int:
        return 1

    def samples(self, batch: Batch) -> int:
        """Its groups of rows."""
        return len(batch.tokens) // self.choices

    def answers(self, batch: Batch) -> Tensor:
        """The numbers of the right ones."""
        return batch.asked["label"][:: self.choices]

    def summed(self, scores: Tensor, batch: Batch) -> Tensor:
        return functional.cross_entropy(scores.view(-1, self.choices), self.answers(batch), reduction="sum")


@dataclass(frozen=True)
class Tag(Task):
    """-log p of the class of each token that is asked for, the batch's `labels` int64 [B, T]."""

    classes: int = 2

    @property
    def outputs(self) -> int:
        return self.classes

    def counts(self, batch: Batch) -> dict[str, int]:
        """The tokens that are asked for."""
        return {TERM: 0 if batch.labels is None else int((batch.labels != IGNORED).sum())}

    def summed(self, scores: Tensor, batch: Batch) -> Tensor:
        assert batch.labels is not None, "rows of tags have labels"
        scores, labels = scores.flatten(0, 1), batch.labels.flatten()  # [B·T, C], [B·T]
        return functional.cross_entropy(scores, labels, ignore_index=IGNORED, reduction="sum")


@dataclass(frozen=True)
class Answer(Task):
    """Half of -log p of the first and of the last token of an answer, `asked["start"]` and `asked["stop"]` int64 [B],
    among a row's tokens; both are the first token where the row has no answer (Devlin et al. 2019, §4.2 and §4.3).

    impossible: some questions have no answer, so that none may be given. longest: tokens of an answer at the most.
    """

    dropout: float = 0.0
    impossible: bool = True
    longest: int = 30

    @property
    def outputs(self) -> int:
        return 2

    def answers(self, batch: Batch) -> None:
        """None: a label counts half."""

    def summed(self, scores: Tensor, batch: Batch) -> Tensor:
        start, stop = scores.masked_fill((real(batch) == 0)[..., None], -torch.inf).unbind(-1)  # [B, T] each
        first = functional.cross_entropy(start, batch.asked["start"], reduction="sum")
        last = functional.cross_entropy(stop, batch.asked["stop"], reduction="sum")
        return (first + last) / 2
