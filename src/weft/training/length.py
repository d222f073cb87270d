"""How many steps a run takes, whatever its length was given in."""

import math
from collections.abc import Callable
from fractions import Fraction

from weft.batch import Dataset, Item
from weft.training.reader import draw
from weft.training.settings import TrainSettings
from weft.training.strangers import Once
from weft.training.world import ALONE

PROBED = 512  # rows, spread over an epoch, that tell how many tokens a step has


def count_steps(settings: TrainSettings, dataset: Dataset[Item], seconds_per_step: Callable[[], float]) -> int:
    """Optimiser steps of the run. ValueError where the warm-up does not fit into them, for an iterable's tokens or
    epochs (nobody knows how many samples it has), and for tokens where rows are all that can be counted.

    tokens: the fewest steps that read so many where rows are full; about so many where they are ragged: by the mean of
    about 512 rows spread over an epoch, or of all.
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
        steps = steps_of_epochs(settings, len(dataset))
    else:
        steps = max(1, math.floor(settings.minutes * 60 / seconds_per_step()))
    settings.check_warmup(steps)
    return steps


def steps_of_epochs(settings: TrainSettings, samples: int) -> int:
    """The fewest steps that read `samples` so many times; exact, as the number of epochs is written in decimals."""
    return math.ceil(Fraction(repr(float(settings.epochs))) * samples / settings.batch)


def tokens_per_step(settings: TrainSettings, dataset: Dataset[Item]) -> float:
    """The mean number of tokens in a step's rows, over steps spread over an epoch. ValueError for other units."""
    steps = math.ceil(PROBED / settings.batch)
    each = max(1, len(dataset) // settings.batch // steps)
    positions = [at for step in range(steps) if (at := step * each * settings.batch) < len(dataset)]
    sizes = []
    for position in positions:
        batches = draw(dataset, position, settings, ALONE)
        if others := sorted({batch.unit for batch in batches} - {"tokens"}):
            raise ValueError(
                f"tokens={settings.tokens}: the samples are counted in {others[0]}, for what a token is in them weft "
                "does not know; give the run's length in steps, epochs or minutes"
            )
        sizes.append(sum(batch.size for batch in batches))
    return max(1.0, sum(sizes) / len(sizes))
