"""Pictures told again by the codes that stand for them (van den Oord et al. 2017), held to be like real ones by a
discriminator that is trained beside them (Esser et al. 2021, VQGAN)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, distributed, nn

from weft.batch import Batch, Dataset, Place
from weft.models import Blueprint
from weft.models.coding import Coder, folded
from weft.objectives.discriminator import Discriminator, detached, hinge
from weft.objectives.loss import TERM, Loss, Objective
from weft.objectives.turned import Varied
from weft.objectives.wrapped import Load, Wrapped

COMMITMENT, CODEBOOK, GENERATOR, DISCRIMINATOR = "commitment", "codebook", "generator", "discriminator"
JUDGED = "judged"  # what a batch is asked: of each row, whether the discriminator has its say, 1 or 0, int64 [B]
LEAST, MOST = 1e-4, 1e4  # Esser et al.'s δ, and their code's bound of the adaptive weight


@dataclass(frozen=True)
class Autoencode(Objective):
    """Each a mean over a picture, summed over pictures, of patches x, what is told again x', vectors z, and the codes e
    that are nearest to them:

    "loss", |x - x'|; "commitment", |z - sg e|² (van den Oord et al. 2017, eq. 3), "codebook", |sg z - e|²;
    "generator", -D'(x'), and "discriminator", the hinge max(0, 1 - D(x)) + max(0, 1 + D(sg x')), over the picture's
    patches. e takes the place of z by a step straight through, whose gradient is z's own.

    One optimiser trains all: D is beside the model, D' is D with its parameters held fast, so that each term reaches
    either the picture's painter or its judge. judged_from: the epoch from which D has its say (Esser et al. start it
    late, too); a picture's epoch is its own, so that nothing is counted. adversarial: the weight of "generator";
    adaptive: times |∇ loss| / |∇ generator| at the painter's last layer (Esser et al., eq. 7), which hangs on all
    pictures of a micro-batch. idle: a code that no picture took in so many passes starts anew at a vector of the
    present ones, 0: never; on several processes never, since each would choose its own.
    """

    commitment: float = 0.25
    adversarial: float = 0.1
    adaptive: bool = False
    judged_from: int = 1
    judge_width: int = 32
    idle: int = 100
    of_signals = True
    likelihood = False
    alone = False
    carriers = (Coder,)

    def __post_init__(self) -> None:
        if min(self.commitment, self.adversarial, self.judged_from, self.idle) < 0:
            raise ValueError(
                f"commitment = {self.commitment}, adversarial = {self.adversarial}, judged_from = {self.judged_from}, "
                f"idle = {self.idle}: each is at least 0"
            )

    @property
    def couples(self) -> tuple[str, ...]:
        """The terms that couple the samples of a micro-batch."""
        return (GENERATOR,) if self.adaptive and self.adversarial else ()

    def counts(self, batch: Batch) -> dict[str, int]:
        """Pictures, and those that are judged."""
        rows = len(batch.tokens)
        told: dict[str, int] = dict.fromkeys((TERM, COMMITMENT, CODEBOOK), rows)
        if self.adversarial:
            told |= dict.fromkeys((GENERATOR, DISCRIMINATOR), int(_judged(batch).sum()))
        return told

    def answers(self, batch: Batch) -> None:
        """None: they are numbers."""

    def constant(self, module: Any, batches: Iterable[Batch]) -> float | None:
        """What the median of each number of a picture pays."""
        rows = torch.cat([batch.tokens for batch in batches]).float()  # [N, P, C]
        return float((rows - rows.median(dim=0).values).abs().mean())

    def turn_signals(self, data: Dataset[Batch], seed: int) -> Dataset[Batch]:
        """Each picture with whether it is judged."""
        return Judged(data, self.judged_from, seed)

    def wrap(self, module: nn.Module, blueprint: Blueprint, seed: int, load: Load) -> nn.Module:
        """The model with a discriminator beside it, drawn as a function of the seed."""
        assert isinstance(module, Coder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)  # not what the model's own weights were drawn from
            return Adversarial(module, self.judge_width)

    def losses(self, module: Any, batch: Batch) -> dict[str, Loss]:
        """The terms of one pass. In training, codes that are idle start anew first."""
        coder = module.model if isinstance(module, Adversarial) else module
        assert isinstance(coder, Coder)
        states = coder.states(batch.tokens)  # [B, P, K]
        ids = module.fresh(states.detach(), self.idle) if isinstance(module, Adversarial) else None
        codes = coder.codebook.look(coder.codebook.nearest(states) if ids is None else ids)  # [B, P, K]
        pictures = folded(batch.tokens, coder.channels)
        told = coder.paint_of(straight(states, codes))  # [B, channels, height, width]
        rows = len(pictures)
        terms = {
            TERM: Loss(per_picture((told - pictures).abs().float()), rows),
            COMMITMENT: Loss(squared(states, codes.detach()), rows, self.commitment),
            CODEBOOK: Loss(squared(codes, states.detach()), rows),
        }
        if not self.adversarial:
            return terms
        if not isinstance(module, Adversarial):
            raise ValueError(f"{self.title} needs its discriminator beside the model: wrap it, or set adversarial=0")
        return terms | self._judged(module, pictures, told, _judged(batch), terms[TERM].sum)

    def _judged(
        self, module: Adversarial, pictures: Tensor, told: Tensor, judged: Tensor, paid: Tensor
    ) -> dict[str, Loss]:
        """The two adversarial terms. paid: the term "loss", for the adaptive weight."""
        judge, count = module.judge, int(judged.sum())
        fooled = -(detached(judge, told).flatten(1).mean(dim=1) * judged).sum()
        if self.adaptive and count and torch.is_grad_enabled():
            fooled = fooled * adaptive(paid / len(told), fooled / count, module.last)
        scored = hinge(judge(pictures), judge(told.detach()))  # [B]
        return {
            GENERATOR: Loss(fooled.float(), count, self.adversarial),
            DISCRIMINATOR: Loss((scored * judged).sum().float(), count),
        }


def _judged(batch: Batch) -> Tensor:
    """Which rows are judged, int64 [B]; all of a batch that says nothing."""
    return batch.asked.get(JUDGED, batch.tokens.new_ones(len(batch.tokens), dtype=torch.int64))


def straight(states: Tensor, codes: Tensor) -> Tensor:
    """The codes, with the gradient of the states (Bengio et al. 2013, §2; van den Oord et al. 2017, §3.2)."""
    return states + (codes - states).detach()


def per_picture(numbers: Tensor) -> Tensor:
    """Σ over pictures of the mean of each one's numbers, [B, ..] -> []."""
    return numbers.flatten(1).mean(dim=1).sum()


def squared(ours: Tensor, theirs: Tensor) -> Tensor:
    """Σ over pictures of the mean over places of |ours - theirs|², [B, P, K] both."""
    return (ours - theirs).float().square().sum(dim=-1).mean(dim=1).sum()


def adaptive(paid: Tensor, fooled: Tensor, last: Tensor) -> Tensor:
    """|∇ paid| / (|∇ fooled| + δ) at the parameter `last`, without gradient (Esser et al. 2021, eq. 7)."""
    norms = [torch.autograd.grad(term, last, retain_graph=True)[0].norm() for term in (paid, fooled)]
    return (norms[0] / (norms[1] + LEAST)).clamp(0.0, MOST).detach()


class Adversarial(Wrapped):
    """A model of codes, its discriminator, and for how many passes nobody has taken each code, int64 [codes]."""

    model: Coder
    unused: Tensor

    def __init__(self, model: Coder, width: int) -> None:
        super().__init__(model)
        self.judge = Discriminator(model.channels, width)
        self.register_buffer("unused", torch.zeros(model.codes, dtype=torch.int64))

    @property
    def last(self) -> Tensor:
        """The painter's last layer."""
        return [part for part in self.model.paint.modules() if isinstance(part, nn.Conv2d)][-1].weight

    @torch.no_grad()
    def fresh(self, states: Tensor, idle: int) -> Tensor:
        """The codes of vectors [B, P, K], int64 [B, P]; in training, after those that were unused in `idle` passes have
        begun anew, each at one of these vectors, drawn from torch's default generator."""
        ids = self.model.codebook.nearest(states)
        if not (self.training and idle) or (distributed.is_available() and distributed.is_initialized()):
            return ids
        self.unused += 1
        self.unused[ids.unique()] = 0
        dead = (self.unused >= idle).nonzero()[:, 0]
        if not len(dead):
            return ids
        vectors = states.flatten(0, 1)  # [B·P, K]
        chosen = torch.randint(len(vectors), (len(dead),)).to(vectors.device)
        self.model.codebook.weight[dead] = vectors[chosen].to(self.model.codebook.weight.dtype)
        self.unused[dead] = 0
        return self.model.codebook.nearest(states)


class Judged(Varied):
    """The same rows, each with whether it is judged in its epoch."""

    purpose = "judged"

    def __init__(self, data: Dataset[Batch], start: int, seed: int) -> None:
        super().__init__(data, seed)
        self.start = start

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples."""
        rows = self.data.batch(places)
        judged = torch.tensor([int(place.epoch >= self.start) for place in places])
        return replace(rows, asked={**rows.asked, JUDGED: judged})
