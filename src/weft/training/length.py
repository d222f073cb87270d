"""How many steps a run takes, whatever its length was given in."""

import math
from collections.abc import Callable

from weft.batch import Dataset, Item
from weft.training.reader import draw
from weft.training.settings import TrainSettings
from weft.training.strangers import Once
from weft.training.world import ALONE

PROBED = 16  # steps whose rows tell how many tokens a step has, spread over an epoch


def count_steps(settings: TrainSettings, dataset: Dataset[Item], seconds_per_step: Callable[[], float]) -> int:
    """Optimiser steps of the run. ValueError where the warm-up does not fit into them, and for an iterable's tokens or
    epochs: nobody knows how many samples it has.

    tokens: the fewest steps that read so many, by the mean of a few steps' rows (exact where rows are full).
    epochs: the fewest steps that read every sample so often; of a mixture, as many rows as all its sources have.
    minutes: of training steps, at `seconds_per_step`.
    """
    if isinstance(dataset, Once) and (settings.tokens or settings.epochs):
        raise ValueError(
            "how long an iterable is nobody knows: give steps or minutes, or store it first, list(iterable)"
        )
    if settings.steps:
        steps = settings.steps
    elif settings.tokens:
        steps = math.ceil(settings.tokens / tokens_per_step(settings, dataset))
    elif settings.epochs:
        steps = math.ceil(settings.epochs * len(dataset) / settings.batch)
    else:
        steps = max(1, math.floor(settings.minutes * 60 / seconds_per_step()))
    settings.check_warmup(steps)
    return steps


def tokens_per_step(settings: TrainSettings, dataset: Dataset[Item]) -> float:
    """The mean number of tokens in a step's rows, over a few steps spread over an epoch."""
    each = max(1, len(dataset) // settings.batch // PROBED)
    positions = [at for step in range(PROBED) if (at := step * each * settings.batch) < len(dataset)]
    sizes = [sum(batch.size for batch in draw(dataset, at, settings, ALONE)) for at in positions]
    return max(1.0, sum(sizes) / len(sizes))
