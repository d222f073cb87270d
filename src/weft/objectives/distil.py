"""Learning from another model's whole distribution (Hinton et al. 2015; Sanh et al. 2019, DistilBERT)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.batch import Batch
from weft.models import Blueprint
from weft.nn import Decoder, Embed, Encoder
from weft.objectives.loss import TERM, Loss
from weft.objectives.masked import MaskedTokens
from weft.objectives.reading import types_of
from weft.objectives.wrapped import Load, Wrapped, bare
from weft.objectives.writing import NextToken, layout, there, unweighed

MADE = "made"  # in place of a teacher's folder
ROWS = 512  # places whose two distributions are held at once


class Taught(Wrapped):
    """A model and its teacher, which is in evaluation mode and is not trained."""

    def __init__(self, model: nn.Module, teacher: nn.Module) -> None:
        super().__init__(model)
        self.teacher = teacher.requires_grad_(False)

    def train(self, mode: bool = True) -> Taught:
        """The student alone."""
        super().train(mode)
        self.teacher.eval()
        return self


@dataclass(frozen=True)
class Lessons:
    """What a student is asked beside its labels.

    "soft": T² · KL(teacher ‖ student) at temperature T, of every token that is there; "cosine": 1 - the cosine of both
    models' last hidden states at the same places, for which they are equally wide. soft, hard, cosine: what these and
    -log p of the labels weigh (DistilBERT's: 5, 2, 1). teacher: the folder of a model that reads the same ids; only the
    student is saved. "made": another like the student, never trained, to try a run out; it knows nothing.
    """

    teacher: str = ""
    temperature: float = 2.0
    soft: float = 5.0
    hard: float = 2.0
    cosine: float = 1.0
    alone: ClassVar[bool] = False

    def check_lessons(self) -> None:
        """ValueError for numbers that cannot be."""
        if not self.temperature > 0 or min(self.soft, self.hard, self.cosine) < 0:
            raise ValueError(
                f"temperature = {self.temperature}, soft = {self.soft}, hard = {self.hard}, cosine = {self.cosine}: "
                "the first is above 0, the weights at least 0"
            )

    def check_teacher(self) -> None:
        """ValueError where none is named."""
        if not self.teacher:
            raise ValueError(
                "a student needs a teacher that reads the same ids: set objective.teacher and data.tokenizer to the "
                f"folder of a trained model (objective.teacher={MADE}: one that knows nothing, to try a run out)"
            )

    def taught(self, module: nn.Module, blueprint: Blueprint, seed: int, load: Load) -> Taught:
        """The module beside its teacher. ValueError where it can teach this model nothing."""
        self.check_teacher()
        teacher = blueprint.build(seed=seed + 2) if self.teacher == MADE else load(self.teacher)
        student = bare(module)
        if type(teacher) is not type(student):
            raise ValueError(
                f"{self.teacher} holds a {type(teacher).__name__}, and the student is a {type(student).__name__}: "
                "a teacher reads as its student does"
            )
        theirs, ours = ids_of(teacher), ids_of(student)
        if theirs != ours:
            raise ValueError(
                f"{self.teacher} has {theirs} ids and the student {ours}: both read the same, so begin with the "
                "teacher's tokenizer (data.tokenizer=FOLDER)"
            )
        return Taught(module, teacher)

    def lessons(self, module: Taught, x: Tensor, taught: Tensor, real: Tensor, head: str | None) -> dict[str, Loss]:
        """The two terms of hidden states x, taught [B, T, D] at the places that are there, real, bool [B, T]."""
        count, (x, taught) = int(real.sum()), (x[real], taught[real])  # [N, D] each
        if self.cosine and x.shape[-1] != taught.shape[-1]:
            raise ValueError(
                f"the student is {x.shape[-1]} wide and its teacher {taught.shape[-1]}, so their states have no angle: "
                "set objective.cosine=0"
            )
        soft = x.sum() * 0.0
        for start in range(0, count, ROWS):
            ours = scores(module.model, x[start : start + ROWS], head) / self.temperature
            with torch.no_grad():
                theirs = (scores(module.teacher, taught[start : start + ROWS], head) / self.temperature).log_softmax(-1)
            kl = functional.kl_div(ours.log_softmax(-1), theirs, reduction="sum", log_target=True)
            soft = soft + kl * self.temperature**2
        terms = {"soft": Loss(soft.float(), count, self.soft)}
        if self.cosine:
            apart = (1 - functional.cosine_similarity(x.float(), taught.float(), dim=-1)).sum()
            terms["cosine"] = Loss(apart, count, self.cosine)
        return terms

    def further(self, batch: Batch) -> dict[str, int]:
        """What those terms count; nothing where no label is asked for."""
        real = int(there(batch).sum())
        return {"soft": real} | ({"cosine": real} if self.cosine else {})


def ids_of(module: nn.Module) -> int:
    """How many ids an encoder or a decoder reads."""
    assert isinstance(module, Encoder | Decoder) and isinstance(module.embed, Embed), "of text alone"
    return module.embed.vocab


def scores(model: nn.Module, x: Tensor, head: str | None) -> Tensor:
    """Scores over the vocabulary, fp32 [N, V], of hidden states [N, D]."""
    model = bare(model)
    if isinstance(model, Encoder):
        return model.logits(x, head).float()
    assert isinstance(model, Decoder)
    return model.logits(x).float()


def weighed(losses: dict[str, Loss], weight: float) -> dict[str, Loss]:
    """The same with another weight on the term "loss"."""
    return losses | {TERM: Loss(losses[TERM].sum, losses[TERM].count, weight)}


@dataclass(frozen=True)
class DistilMasked(Lessons, MaskedTokens):
    """DistilBERT (Sanh et al. 2019, §3): hard · -log p of masked tokens + soft · T² · KL(teacher ‖ student), both at
    temperature T + cosine · (1 - cos of their last hidden states), the last two of every token, with the
    same ones hidden from both."""

    shares = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_lessons()

    def check(self, module: nn.Module) -> None:
        """ValueError for a module of another kind, and without a teacher."""
        super().check(module)
        self.check_teacher()

    def counts(self, batch: Batch) -> dict[str, int]:
        """Masked tokens, and all that are there."""
        return super().counts(batch) | self.further(batch)

    def wrap(self, module: nn.Module, blueprint: Blueprint, seed: int, load: Load) -> nn.Module:
        """The student beside its teacher."""
        return self.taught(super().wrap(module, blueprint, seed, load), blueprint, seed, load)

    def losses(self, module: Any, batch: Batch) -> dict[str, Loss]:
        """All of one pass of each."""
        assert isinstance(module, Taught)
        here, encoder = layout(batch), bare(module)
        x, auxiliary = module.model(batch.tokens, here, types_of(encoder, batch))  # [B, T, D]
        unweighed(auxiliary)
        with torch.no_grad():
            taught, _ = module.teacher(batch.tokens, here, types_of(module.teacher, batch))
        terms = weighed(self.terms(module.model, x, batch), self.hard)
        return terms | self.lessons(module, x, taught, there(batch), self.asks)


@dataclass(frozen=True)
class Distil(Lessons, NextToken):
    """DistilBERT's loss of decoders (Sanh et al. 2019, as their DistilGPT-2): hard · -log p of the next token + soft ·
    T² · KL(teacher ‖ student), both at temperature T + cosine · (1 - cos of their last hidden states)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_lessons()

    def check(self, module: nn.Module) -> None:
        """ValueError for a module of another kind, and without a teacher."""
        super().check(module)
        self.check_teacher()

    def counts(self, batch: Batch) -> dict[str, int]:
        """Labels, and all tokens that are there."""
        return super().counts(batch) | self.further(batch)

    def wrap(self, module: nn.Module, blueprint: Blueprint, seed: int, load: Load) -> nn.Module:
        """The student beside its teacher."""
        return self.taught(module, blueprint, seed, load)

    def losses(self, module: Any, batch: Batch) -> dict[str, Loss]:
        """All of one pass of each."""
        assert isinstance(module, Taught)
        x, auxiliary = module.model(batch.tokens, layout(batch))  # [B, T, D]
        with torch.no_grad():
            taught, _ = module.teacher(batch.tokens, layout(batch))
        terms = weighed(super().terms(module.model, x, auxiliary, batch), self.hard)
        return terms | self.lessons(module, x, taught, there(batch), None)
