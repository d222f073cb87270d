"""The learning rate as a function of the step."""

import math

from weft.training.settings import TrainSettings


def rate_factor(step: int, settings: TrainSettings) -> float:
    """The fraction of the peak rate at which optimiser step `step` (0, 1, ...) is taken.

    A straight warm-up that is never 0 and reaches 1 at step `warmup`, then decay towards `floor`, which is reached at
    `steps`, one past the last update, and held from there on. `step` counts updates of the weights, whatever the
    number of micro-batches. Cosine: Loshchilov & Hutter 2017, one half period without restarts.
    """
    warmup = settings.warmup_steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if settings.decay == "constant":
        return 1.0
    done = min(1.0, (step - warmup) / max(1, settings.steps - warmup))
    left = 1 - done if settings.decay == "linear" else (1 + math.cos(math.pi * done)) / 2
    return settings.floor + (1 - settings.floor) * left
