"""Named losses, what an objective is, and where objectives are found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from weft.batch import IGNORED, Batch, Dataset, Tokenizer
from weft.models import Blueprint
from weft.nn import Decoder, Embed, Encoder, EncoderDecoder
from weft.nn.towers import Towers
from weft.objectives.wrapped import Load
from weft.registry import Registry

TERM = "loss"  # what an objective calls the term by which held-out figures are compared
KINDS = {Decoder: "a decoder", Encoder: "an encoder", EncoderDecoder: "an encoder–decoder", Towers: "a pair of towers"}


@dataclass(frozen=True)
class Loss:
    """A sum over `count` labels, and its weight in the total. The trainer divides once, by a whole step's count.

    sum: fp32 scalar, with the graph behind it.
    """

    sum: Tensor
    count: int
    weight: float = 1.0


@dataclass(frozen=True)
class Objective(ABC):
    """What a batch is turned into and what is minimised: named losses, whose counts are known from the batch before the
    forward pass. A frozen value of plain settings, so that a run can say what it minimised and resume.

    carriers: the bare modules that it can be asked of. of_signals: its rows are signals', not texts'. pairs: its data
    are pairs of texts, not texts. likelihood: its term "loss" is -log p of all of the text, which may be said in bits
    per byte. loss_unit: what the term "loss" is, for people. alone: a saved model can be asked; nothing else was
    trained beside it.
    """

    carriers: ClassVar[tuple[type[nn.Module], ...]] = (nn.Module,)
    of_signals: ClassVar[bool] = False
    pairs: ClassVar[bool] = False
    likelihood: ClassVar[bool] = True
    loss_unit: ClassVar[str] = "nats"
    alone: ClassVar[bool] = True

    @abstractmethod
    def counts(self, batch: Batch) -> dict[str, int]:
        """For each term, over how many labels `losses` will sum."""

    @abstractmethod
    def losses(self, module: Any, batch: Batch) -> dict[str, Loss]:
        """The terms of one forward pass of a bare module. ValueError for a batch that it cannot be asked about."""

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads of an encoder that it asks; none of other models."""
        return ()

    def answers(self, batch: Batch) -> Tensor | None:
        """The labels of its term "loss" that are counted, int64 [N]; None where a batch alone does not say them."""
        return None if batch.labels is None else batch.labels[batch.labels != IGNORED]

    def constant(self, module: Any, batches: Iterable[Batch]) -> float | None:
        """What the best constant guess pays for its term "loss", as a mean in nats: `entropy` of the answers. module:
        is asked where they hang on it. None where they are not labels, or there are none."""
        return entropy(map(self.answers, batches))

    def guesses(self, module: Any, batch: Batch) -> Tensor | None:
        """What a module would answer, beside `answers`, int64 [N]; None where it gives no one answer."""
        return None

    @property
    def predicted(self) -> float:
        """The share of a row's tokens that it asks for, as far as is known before there are rows."""
        return 1.0

    def ids(self, tokenizer: Tokenizer) -> int:
        """How many ids its rows are made of, at the least those of the tokenizer."""
        return tokenizer.vocab

    def length(self, module: nn.Module, context: int) -> int:
        """How many tokens of text a row has, for a model of this context."""
        return context

    def turn(self, data: Dataset[Batch], tokenizer: Tokenizer, seed: int) -> Dataset[Batch]:
        """The same samples in the same order, as it asks for them: something of them hidden, say. What is done to a
        sample depends on the seed, the epoch and the sample alone."""
        return data

    def turn_signals(self, data: Dataset[Batch], seed: int) -> Dataset[Batch]:
        """`turn`, of rows of vectors, which no tokenizer made."""
        return data

    def wrap(self, module: nn.Module, blueprint: Blueprint, seed: int, load: Load) -> nn.Module:
        """What is trained: the model itself, or, where more is needed, a `Wrapped` that has it inside. load: opens the
        folder of another model (a teacher)."""
        return module

    def check(self, module: nn.Module) -> None:
        """ValueError where it cannot be asked of a module, in words that say why."""
        if not isinstance(module, self.carriers):
            kind = next((words for cls, words in KINDS.items() if isinstance(module, cls)), "another module")
            wanted = " or ".join(KINDS.get(cls, cls.__name__) for cls in self.carriers)
            raise ValueError(f"{self.title} asks {wanted}, and this model is {kind}: {self._why()}")
        if isinstance(module, Encoder) and self.of_signals == isinstance(module.embed, Embed):
            asks, own = ("signals", "text") if self.of_signals else ("text", "signals")
            raise ValueError(f"{self.title} asks a model of {asks}, and this model reads {own}: {self._why()}")

    def _why(self) -> str:
        """What to do where the model is of another kind."""
        return "choose another objective, or another family (`weft list` names both)"

    @property
    def title(self) -> str:
        """Its registered name, for messages; the class's where it has none."""
        return OBJECTIVES.name_of(type(self)) or type(self).__name__


def entropy(answers: Iterable[Tensor | None]) -> float | None:
    """Mean -log p, in nats, of one distribution for all of the answers, int64 [N] each, their own shares; no other goes
    below it. None where some are None, or there are none."""
    counts = Counter[int]()
    for labels in answers:
        if labels is None:
            return None
        counts.update(dict(zip(*(part.tolist() for part in labels.unique(return_counts=True)), strict=True)))
    if not counts:
        return None
    shares = torch.tensor(list(counts.values()), dtype=torch.float64) / counts.total()
    return float(-(shares * shares.log()).sum())


OBJECTIVES: Registry[type[Objective]] = Registry("objective", "weft.objectives", ("weft.objectives.builtin",))
