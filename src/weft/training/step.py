"""One optimiser step: rows in, weights changed, and what there is to say about it."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from weft.batch import Item
from weft.training.objective import ADVICE, Diverged, Term
from weft.training.optimisers import trainable
from weft.training.precision import autocast
from weft.training.run import Run
from weft.training.sharded import whole


@dataclass(frozen=True)
class Taken:
    """A step that was taken, or skipped (`loss` None) because not one label of it counted."""

    loss: float | None  # sum over terms of weight * sum / count
    terms: dict[str, float]  # sum / count by name, unweighted
    norm: float  # of the whole gradient, before clipping


class Sums:
    """What one process adds to a step's figures, and what it found wrong."""

    def __init__(self) -> None:
        self.loss = 0.0
        self.terms: dict[str, float] = {}
        self.problem = ""


def update(run: Run, batches: Sequence[Item], step: int) -> Taken:
    """Take step `step` on this process's micro-batches. The learning rate is already set. See `gradients`."""
    taken = gradients(run, batches, step)
    if taken.loss is not None:
        run.optimiser.step()
    return taken


def gradients(run: Run, batches: Sequence[Item], step: int) -> Taken:
    """Compute the gradients of step `step`, clipped; nothing where no label counts.

    Every term is divided once, by its count over the whole step and all processes, so that ragged micro-batches add up
    to the loss and gradient of one large batch. Diverged names step and samples where the loss or gradient is not
    finite; the weights are then still those of the step before.
    """
    counts = [run.objective.counts(batch) for batch in batches]
    totals = run.world.total(counts)
    if not any(totals.values()):
        return Taken(None, {}, 0.0)
    run.optimiser.zero_grad()
    run.engine.agree()
    mine = Sums()
    for part, (batch, expected) in enumerate(zip(batches, counts, strict=True)):
        if run.world.size == 1 and not any(expected.values()):
            continue  # all its labels are ignored: it has nothing to say (among several, all must keep in step)
        torch.manual_seed(noise_seed(run.settings.seed, step, part * run.world.size + run.world.rank))
        with run.engine.sync(part + 1 == len(batches)):
            backward(run, batch, expected, totals, mine)
        if mine.problem and run.world.size == 1:
            break
    everyone = run.world.gather(mine)
    if problems := [sums.problem for sums in everyone if sums.problem]:
        raise Diverged(f"step {step + 1}: {problems[0]}; {ADVICE}")
    norm = clip(run)
    if not math.isfinite(norm):
        raise Diverged(f"step {step + 1}: the gradient's norm is {norm} for {all_samples(run, batches)}; {ADVICE}")
    names = dict.fromkeys(name for sums in everyone for name in sums.terms)
    terms = {name: sum(sums.terms.get(name, 0.0) for sums in everyone) for name in names}
    return Taken(sum(sums.loss for sums in everyone), terms, norm)


def backward(run: Run, batch: Item, expected: Mapping[str, int], totals: Mapping[str, int], mine: Sums) -> None:
    """Add one micro-batch's share to the gradients and figures; a loss that is not finite is noted."""
    with autocast(run.precision, run.device):
        losses = run.engine.losses(batch)
    check_terms(losses, expected)
    several = run.world.size > 1
    shares = {name: term.sum / max(1, totals[name]) for name, term in losses.items() if term.count or several}
    loss = torch.stack([losses[name].weight * share for name, share in shares.items()]).sum()
    if not bool(loss.isfinite()):
        each = ", ".join(f"{name} {share.item()}" for name, share in shares.items())
        mine.problem = mine.problem or f"the loss is {loss.item()} ({each}) for {samples([batch])}"
        if not several:
            return
    if not loss.requires_grad:
        raise ValueError(
            "the loss depends on no trainable parameter: compute it from the module's output, undetached and outside "
            "torch.no_grad()"
        )
    (loss * run.world.size if several else loss).backward()  # DDP and FSDP2 average what is to be summed
    mine.loss += loss.item()
    for name, share in shares.items():
        mine.terms[name] = mine.terms.get(name, 0.0) + share.item()


def noise_seed(seed: int, step: int, part: int) -> int:
    """The seed of one micro-step's dropout: far apart for neighbouring steps, the same after a resume."""
    return int.from_bytes(hashlib.sha256(f"noise/{seed}/{step}/{part}".encode()).digest()[:8], "little")


def clip(run: Run) -> float:
    """Scale the gradients down to a norm of settings.clip (0: leave them); the norm before. Pascanu et al. 2013."""
    parameters = list(trainable(run.module).values())
    given: list[Tensor] = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = whole(torch.nn.utils.get_total_norm(given))
    if run.settings.clip and bool(norm.isfinite()):
        torch.nn.utils.clip_grads_with_norm_(parameters, run.settings.clip, norm)
    return norm.item()


def check_terms(losses: Mapping[str, Term], expected: Mapping[str, int]) -> None:
    """ValueError where an objective counts otherwise than it said it would: every mean would be wrong, silently."""
    given = {name: term.count for name, term in losses.items()}
    if given != dict(expected):
        raise ValueError(
            f"the objective's losses count {given}, its counts said {dict(expected)}; "
            "both must name the same terms with the same numbers"
        )


def all_samples(run: Run, batches: Sequence[Item]) -> str:
    """The samples of a step on all processes, for a message; called by all of them."""
    return "; ".join(run.world.gather(samples(batches)))


def samples(batches: Sequence[Item]) -> str:
    """Which samples some batches hold, for a message; how many tokens or rows, where they do not say which."""
    numbers = [sample for batch in batches for sample in batch.samples]
    if not numbers:
        return f"{sum(batch.size for batch in batches)} {batches[0].unit}"
    return f"sample{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
