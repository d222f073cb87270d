"""One optimiser step: rows in, weights changed, and what there is to say about it."""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import Module

from weft.batch import Batch
from weft.training.optimisers import Optimiser, trainable
from weft.training.precision import Precision, autocast
from weft.training.settings import TrainSettings


class Diverged(ValueError):
    """A number that is not finite came up; the run stops before it reaches a checkpoint."""


class Dataset(Protocol):
    """A fixed number of samples, read by number. What a sample looks like may depend on the epoch (noise)."""

    def __len__(self) -> int: ...

    def batch(self, epoch: int, indices: Sequence[int]) -> Batch: ...


class Term(Protocol):
    """One loss: a sum over `count` labels, and its weight in the total."""

    @property
    def sum(self) -> Tensor: ...

    @property
    def count(self) -> int: ...

    @property
    def weight(self) -> float: ...


class Objective(Protocol):
    """What is minimised. `counts` knows before the forward pass what `losses` will count."""

    def counts(self, batch: Batch) -> Mapping[str, int]: ...

    def losses(self, module: Module, batch: Batch) -> Mapping[str, Term]: ...


@dataclass(frozen=True)
class Taken:
    """A step that was taken, or skipped (`loss` None) because not one label of it counted."""

    loss: float | None  # sum over terms of weight * sum / count
    terms: dict[str, float]  # sum / count by name, unweighted
    norm: float  # of the whole gradient, before clipping


def update(
    module: Module,
    optimiser: Optimiser,
    objective: Objective,
    batches: Sequence[Batch],
    settings: TrainSettings,
    precision: Precision,
    step: int,
) -> Taken:
    """Take step `step` on its micro-batches. The learning rate is already set.

    Every term is divided once, by its count over the whole step, so that ragged micro-batches add up to the loss and
    gradient of one large batch. Diverged names step and samples where the loss or gradient is not finite; the weights
    are then still those of the step before.
    """
    counts = [objective.counts(batch) for batch in batches]
    totals = Counter[str]()
    for one in counts:
        totals.update(one)
    if not any(totals.values()):
        return Taken(None, {}, 0.0)
    optimiser.zero_grad()
    loss, terms = 0.0, dict[str, float]()
    for part, (batch, expected) in enumerate(zip(batches, counts, strict=True)):
        if not any(expected.values()):
            continue  # all its labels are ignored: it has nothing to say, and 0 / 0 must not say it
        torch.manual_seed(noise_seed(settings.seed, step, part))
        with autocast(precision, batch.tokens.device):
            losses = objective.losses(module, batch)
        check_terms(losses, expected)
        means = {name: term.sum / totals[name] for name, term in losses.items() if term.count}
        total = torch.stack([losses[name].weight * mean for name, mean in means.items()]).sum()
        check_finite(total, means, batch, step)
        total.backward()
        loss += total.item()
        terms |= {name: terms.get(name, 0.0) + mean.item() for name, mean in means.items()}
    norm = clip(module, settings.clip)
    if not math.isfinite(norm):
        raise Diverged(f"step {step + 1}: the gradient's norm is {norm} for {samples(batches)}; {ADVICE}")
    optimiser.step()
    return Taken(loss, terms, norm)


ADVICE = "no checkpoint was overwritten. Look at those samples, or lower the rate, lengthen the warm-up or use fp32"


def noise_seed(seed: int, step: int, part: int) -> int:
    """The seed of one micro-step's dropout: far apart for neighbouring steps, the same after a resume."""
    return int.from_bytes(hashlib.sha256(f"noise/{seed}/{step}/{part}".encode()).digest()[:8], "little")


def clip(module: Module, limit: float) -> float:
    """Scale the gradients down to a norm of `limit` (0 = leave them); returns the norm before. Pascanu et al. 2013."""
    parameters = list(trainable(module).values())
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if limit and bool(norm.isfinite()):
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm.item()


def check_terms(losses: Mapping[str, Term], expected: Mapping[str, int]) -> None:
    """ValueError where an objective counts otherwise than it said it would: every mean would be wrong, silently."""
    given = {name: term.count for name, term in losses.items()}
    if given != dict(expected):
        raise ValueError(
            f"the objective's losses count {given}, its counts said {dict(expected)}; "
            "both must name the same terms with the same numbers"
        )


def check_finite(total: Tensor, means: Mapping[str, Tensor], batch: Batch, step: int) -> None:
    """Diverged where the loss is nan or infinite."""
    if not bool(total.isfinite()):
        each = ", ".join(f"{name} {mean.item()}" for name, mean in means.items())
        raise Diverged(f"step {step + 1}: the loss is {total.item()} ({each}) for {samples([batch])}; {ADVICE}")


def check_weights(module: Module, step: int) -> None:
    """Diverged where a weight is not finite, so that such weights never push a good checkpoint out."""
    for name, parameter in module.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise Diverged(f"step {step}: {name} holds a number that is not finite; {ADVICE}")


def samples(batches: Sequence[Batch]) -> str:
    """The samples of a step, for a message."""
    numbers = [sample for batch in batches for sample in batch.samples]
    if not numbers:
        return f"{sum(batch.tokens.shape[0] for batch in batches)} rows"
    return f"sample{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
