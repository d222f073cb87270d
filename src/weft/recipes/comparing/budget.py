"""What a step of each candidate costs, counted, and how many steps make the same budget for all."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch.nn import Module

from weft.batch import Dataset, Item
from weft.data import prepare
from weft.data.sources import Say
from weft.nn.kernels import use
from weft.objectives import Objective
from weft.recipes.begin import opened
from weft.recipes.recipe import Recipe
from weft.training.flops import operations, passes
from weft.training.optimisers import count_parameters, groups
from weft.training.plan import optimiser_flops
from weft.training.precision import Precision, autocast, choose
from weft.training.reader import draw
from weft.training.settings import TrainSettings
from weft.training.world import ALONE, place

PROBED = 4  # steps, spread over an epoch, whose operations are counted
TIMED = 3  # of them, whose time is taken too, the least counting
ROUNDS = {"flops": "equal FLOPs", "tokens": "equal tokens"}


@dataclass(frozen=True)
class Cost:
    """Of a step. flops: operations of its forward and backward passes, whatever the objective has around the model (a
    generator, both stacks of an encoder–decoder) and the optimiser's own products among them. tokens: of text, before
    the objective does anything with it. seconds: 0 where nobody asked. parameters: of the model, without what is around
    it."""

    flops: float
    tokens: int
    parameters: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Budget:
    """What each candidate is given. flops, tokens: in the one round and in the other; steps: of each candidate, in each
    round."""

    flops: float
    tokens: int
    steps: dict[str, dict[str, int]]


def cost(recipe: Recipe, say: Say, *, timed: bool) -> Cost:
    """What a step of a recipe costs. The text's tokens are kept where its `data.store` says, and found there again.

    Operations are counted as they happen, in the rows of PROBED steps.
    """
    objective, settings = recipe.minimised, recipe.train
    prepared = prepare(recipe.texts, recipe.length, pairs=False, say=say)
    try:
        blueprint = recipe.fitted(objective.ids(prepared.tokenizer))
        module = objective.wrap(blueprint.build(seed=settings.seed), blueprint, settings.seed, opened)
        module = module.to(device := place(settings.device))
        if settings.kernel != "measured":
            use(module, settings.kernel)
        data = objective.turn(prepared.train, prepared.tokenizer, settings.seed)
        steps = [[batch.to(device) for batch in batches] for batches in _steps(data, settings)]
        flops = sum(operations(module, objective, batches) for batches in steps) / len(steps)
        seconds = 0.0
        if timed:
            seconds = min(_seconds(module, objective, batches, settings) for batches in steps[:TIMED])
        own = optimiser_flops(groups(module), settings, Precision("fp32", "whichever it is"))
        parameters = count_parameters(blueprint.empty().parameters())
        return Cost(flops + own, settings.batch * recipe.length, parameters, seconds)
    finally:
        prepared.close()


def _steps(data: Dataset[Item], settings: TrainSettings) -> list[list[Item]]:
    """The rows of PROBED steps, spread over an epoch."""
    apart = max(1, len(data) // settings.batch // PROBED)
    return [draw(data, step * apart * settings.batch, settings, ALONE) for step in range(PROBED)]


def _seconds(module: Module, objective: Objective, batches: Sequence[Item], settings: TrainSettings) -> float:
    """Of a step's passes, in the precision that the run will have."""
    device = next(module.parameters()).device
    with autocast(choose(settings.precision, device), device):
        began = time.perf_counter()
        passes(module, objective, batches)
        return time.perf_counter() - began


def budget(costs: Mapping[str, Cost], flops: float, tokens: int, *, slack: float) -> Budget:
    """Steps of each candidate for the same operations, and for the same tokens. flops, tokens: 0 derives them, see
    `Comparison`. ValueError where whole steps miss a budget by more than the share `slack` of it."""
    flops = flops or least(slack) * max(cost.flops for cost in costs.values())
    by_flops = {name: _whole(name, "FLOPs", flops, cost.flops, slack) for name, cost in costs.items()}
    first = next(iter(costs))
    tokens = tokens or by_flops[first] * costs[first].tokens
    by_tokens = {name: _whole(name, "tokens", tokens, cost.tokens, slack) for name, cost in costs.items()}
    return Budget(flops, tokens, {"flops": by_flops, "tokens": by_tokens})


def least(slack: float) -> int:
    """The fewest steps that whole steps round to within a share of."""
    return math.ceil(0.5 / slack)


def _whole(name: str, unit: str, total: float, each: float, slack: float) -> int:
    steps = max(1, round(total / each))
    if abs(steps * each / total - 1) > slack:
        raise ValueError(
            f"a budget of {total:.3g} {unit} is {total / each:.1f} steps of the candidate {name}, and whole steps miss "
            f"it by more than {slack:.0%}: raise the budget to {least(slack) * each:.3g}, or lower train.batch"
        )
    return steps
