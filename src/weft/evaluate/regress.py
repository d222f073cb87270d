"""Scores of numbers: Pearson, Spearman, mean squared error."""

from collections.abc import Sequence

import numpy as np

from weft.evaluate.inputs import Array, numbers

Numbers = Sequence[float] | Array


def pearson(predicted: Numbers, gold: Numbers) -> float:
    """Pearson's r: the covariance of the two over the product of their standard deviations, in [-1, 1].

    It is undefined where a side does not vary. Predictions that are all alike score 0, as they order nothing; gold that
    is all alike is a ValueError, since nothing can be measured on it.
    """
    return _correlation("Pearson's r", *numbers("Pearson's r", predicted, gold))


def spearman(predicted: Numbers, gold: Numbers) -> float:
    """Spearman's ρ: Pearson's r of the ranks; equal numbers share the mean of the ranks they take up.

    What does not vary is treated as `pearson` does.
    """
    mine, theirs = numbers("Spearman's ρ", predicted, gold)
    return _correlation("Spearman's ρ", ranks(mine), ranks(theirs))


def mse(predicted: Numbers, gold: Numbers) -> float:
    """The mean of (predicted - gold)²; in the unit of gold, squared."""
    mine, theirs = numbers("mean squared error", predicted, gold)
    return float(((mine - theirs) ** 2).mean())


def ranks(values: Array) -> Array:
    """float64 [N]: ranks from 1, equal values sharing the mean of the ranks they take up."""
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[inverse]  # [distinct] -> [N]


def _correlation(what: str, predicted: Array, gold: Array) -> float:
    if gold.min() == gold.max():
        raise ValueError(
            f"{what} needs gold that varies, and all {len(gold)} are alike: take more, or the mean squared error"
        )
    if predicted.min() == predicted.max():
        return 0.0
    x, y = _direction(predicted), _direction(gold)
    return float(np.clip(x @ y, -1.0, 1.0))


def _direction(values: Array) -> Array:
    """Centred and of length 1. Scaled twice: the square of a small number is 0, and that of a large one infinite."""
    scaled = values / np.abs(values).max()
    centred = scaled - scaled.mean()
    centred = centred / np.abs(centred).max()
    return centred / np.linalg.norm(centred)
