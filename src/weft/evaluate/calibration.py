"""Whether probabilities mean what they say: calibration error, Brier score, likelihood, reliability diagram.

probabilities: [N, C], each row over the classes, summing to 1; gold: [N] class numbers in [0, C).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from weft.evaluate.inputs import Array, matched

Probabilities = Sequence[Sequence[float]] | Array
Classes = Sequence[int] | Array
_SUM = 1e-2  # how far a row may be from 1: bf16 has 8 bits, and sums of its rounded values are off by less
_LEAST = 5e-324  # the smallest float


def softmax(scores: Array) -> Array:
    """Probabilities of scores [..., C], or of log-likelihoods that are not normalised: fp64 [..., C]."""
    raised = np.exp(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


@dataclass(frozen=True)
class Reliability:
    """What a reliability diagram draws, over M bins of equal width; the bin m is (edges[m], edges[m + 1]].

    confidence, accuracy: their means within a bin; 0 where it has no samples, which `count` says.
    """

    edges: Array  # float64 [M + 1] from 0 to 1
    count: Array  # int64 [M] samples in the bin
    confidence: Array  # float64 [M] mean of the largest probability
    accuracy: Array  # float64 [M] share whose most probable class is gold

    @property
    def error(self) -> float:
        """The expected calibration error: Σ count / N · |accuracy - confidence| (Naeini et al. 2015)."""
        return float((self.count * np.abs(self.accuracy - self.confidence)).sum() / self.count.sum())


def reliability(probabilities: Probabilities, gold: Classes, *, bins: int = 15) -> Reliability:
    """Samples by their confidence, the probability of their most probable class (of equals, the first).

    ValueError for rows that are no probabilities, a gold class outside [0, C), unequal counts, none, bins < 1.
    """
    p, wanted = _checked("calibration", probabilities, gold)
    if bins < 1:
        raise ValueError(f"a reliability diagram has 1 bin or more, got bins={bins}: 15 is customary")
    confidence = np.minimum(p.max(1), 1.0)  # [N, C] -> [N]; a row's rounding may lie above 1
    right = p.argmax(1) == wanted  # [N, C] -> [N]
    edges = np.arange(bins + 1) / bins  # each the float nearest to m / M: 0.7 falls into the bin that ends in 0.7
    place = np.searchsorted(edges[1:], confidence)  # [N]
    count = np.bincount(place, minlength=bins)
    means = (np.bincount(place, weights=x, minlength=bins) / np.maximum(count, 1) for x in (confidence, right))
    return Reliability(edges, count, *means)


def calibration_error(probabilities: Probabilities, gold: Classes, *, bins: int = 15) -> float:
    """Expected calibration error of the most probable class over `bins` bins of equal width; see `Reliability.error`.

    The number depends on how many bins there are: state it beside.
    """
    return reliability(probabilities, gold, bins=bins).error


def brier(probabilities: Probabilities, gold: Classes) -> float:
    """The mean over samples of Σ_c (p_c - [c is gold])², over all classes (Brier 1950): from 0 to 2.

    For two classes it is twice the (p - y)² that some libraries give.
    """
    p, wanted = _checked("the Brier score", probabilities, gold)
    return float(((p - np.eye(p.shape[1])[wanted]) ** 2).sum(1).mean())


def negative_log_likelihood(probabilities: Probabilities, gold: Classes) -> float:
    """The mean over samples of -ln p(gold), in nats.

    A probability of 0 counts as the smallest float, 744.4 nats: reports hold finite numbers.
    """
    p, wanted = _checked("the negative log-likelihood", probabilities, gold)
    picked = p[np.arange(len(wanted)), wanted]  # [N, C] -> [N]
    return 0.0 - float(np.log(np.maximum(picked, _LEAST)).mean())  # a difference: the negative of 0 would be -0


def _checked(what: str, probabilities: Probabilities, gold: Classes) -> tuple[Array, Array]:
    matched(what, probabilities, gold)
    p, wanted = np.asarray(probabilities, np.float64), np.asarray(gold)
    if p.ndim != 2 or wanted.ndim != 1 or wanted.dtype.kind not in "iu":
        raise ValueError(
            f"{what} is of probabilities [N, C] and class numbers [N], got {p.shape}, and {wanted.dtype} of shape "
            f"{wanted.shape}: of one probability p of two classes, pass [1 - p, p]"
        )
    strange = np.flatnonzero(~((p >= 0).all(1) & (np.abs(p.sum(1) - 1) <= _SUM)))
    if len(strange):
        row = strange[0]
        raise ValueError(
            f"{what}: row {row} is no distribution, its least is {p[row].min():.4g} and its sum {p[row].sum():.4g}, "
            "not 1: of logits take the softmax, of logarithms the exponential"
        )
    outside = np.flatnonzero((wanted < 0) | (wanted >= p.shape[1]))
    if len(outside):
        raise ValueError(
            f"{what}: gold[{outside[0]}] is {wanted[outside[0]]}, and the rows have {p.shape[1]} classes, from 0: "
            "leave out samples without a label, or pass probabilities of all classes"
        )
    return p, wanted
