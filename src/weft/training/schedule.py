"""The learning rate as a function of the step."""

import math

from weft.training.settings import TrainSettings


def rate_factor(step: int, steps: int, settings: TrainSettings) -> float:
    """The fraction of the peak rate at which optimiser step `step` (0, 1, ...) of a run of `steps` is taken.

    A straight warm-up that is never 0 and reaches 1 at step `warmup`, then, until `steps`, one past the last update:

    - cosine: half a period down to `floor`, without restarts (Loshchilov & Hutter 2017)
    - linear: straight down to `floor`
    - constant: 1
    - wsd: 1, then over the last `cooldown` of the run straight down to `floor` (warm-up, stable, decay; Hu et al. 2024,
      MiniCPM, whose decay is exponential)
    - inverse_sqrt: sqrt(warmup / step) (Vaswani et al. 2017, eq. 3, whose peak is width^-0.5 warmup^-0.5); no floor

    `step` counts updates of the weights, whatever the number of micro-batches or processes.
    """
    warmup = settings.warmup_steps(steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    match settings.schedule:
        case "constant":
            return 1.0
        case "inverse_sqrt":
            return math.sqrt(max(1, warmup) / max(1, step))
        case "wsd":
            falls = max(warmup, round(steps * (1 - settings.cooldown)))
            left = 1 - _done(step, falls, steps)
        case "linear":
            left = 1 - _done(step, warmup, steps)
        case "cosine":
            left = (1 + math.cos(math.pi * _done(step, warmup, steps))) / 2
    return settings.floor + (1 - settings.floor) * left


def _done(step: int, start: int, stop: int) -> float:
    """The share of the way from `start` to `stop` that is behind `step`, between 0 and 1."""
    return min(1.0, max(0, step - start) / max(1, stop - start))
