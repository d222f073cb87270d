"""Scores of classes: accuracy, precision, recall, F1, Matthews correlation. As scikit-learn defines them.

A share of nothing (the precision of a class that is never predicted) is 0, as with its zero_division=0. Where -1 is
predicted and nothing is gold by it, it says "none of the classes": never right, and no class to be averaged over.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from weft.evaluate.inputs import Array, Label, labels, one_kind

NONE = -1  # what is predicted where it is none of the classes
Labels = Sequence[Label] | Array


@dataclass(frozen=True)
class PrecisionRecall:
    """precision: of what was predicted, the share that is right. recall: of what is gold, the share that was found.
    f1: their harmonic mean, 2 · right / (predicted + gold); of an average over classes, the average of theirs."""

    precision: float
    recall: float
    f1: float

    @classmethod
    def of(cls, right: int, predicted: int, gold: int) -> "PrecisionRecall":
        """From how many are right, were predicted, and are gold; 0 where there is nothing to divide by."""
        return cls(_share(right, predicted), _share(right, gold), _share(2 * right, predicted + gold))


@dataclass(frozen=True)
class Confusion:
    """counts: int64 [classes, classes], how often the gold class (row) was predicted as another (column)."""

    classes: tuple[Label, ...]
    counts: Array


@dataclass(frozen=True)
class Tally:
    """How often each class is right, predicted and gold: all that the scores are made of, without [C, C] counts."""

    classes: tuple[Label, ...]
    right: Array  # int64 [C]
    predicted: Array  # int64 [C]
    gold: Array  # int64 [C]

    @property
    def own(self) -> tuple[Label, ...]:
        """The classes, but for NONE where nothing is gold by it."""
        return tuple(label for label, gold in zip(self.classes, self.gold, strict=True) if label != NONE or gold)

    def each(self, over: Sequence[Label] | None) -> tuple[list[PrecisionRecall], list[int]]:
        """The scores of each class of `over` (None: of its own), and the number of its gold labels."""
        places = [self.classes.index(label) for label in dict.fromkeys(self.own if over is None else over)]
        counts = [(int(self.right[i]), int(self.predicted[i]), int(self.gold[i])) for i in places]
        return [PrecisionRecall.of(*count) for count in counts], [gold for _, _, gold in counts]


def accuracy(predicted: Labels, gold: Labels) -> float:
    """The share of predictions that equal their gold label. ValueError: for none, unequal counts, what is no label."""
    mine, theirs = labels("accuracy", predicted, gold)
    return sum(a == b for a, b in zip(mine, theirs, strict=True)) / len(theirs)


def confusion(predicted: Labels, gold: Labels, *, classes: Sequence[Label] | None = None) -> Confusion:
    """How often each gold class was predicted as each class.

    classes: all there are, in the order of rows and columns; None takes those that occur, sorted. ValueError for a
    label outside them.
    """
    mine, theirs, known = _placed("confusion", predicted, gold, classes, ())
    counts = np.bincount(theirs * len(known) + mine, minlength=len(known) ** 2)
    return Confusion(known, counts.reshape(len(known), len(known)))  # [C * C] -> [C, C]


def binary(
    predicted: Labels, gold: Labels, *, positive: Label = 1, classes: Sequence[Label] | None = None
) -> PrecisionRecall:
    """Precision, recall and F1 of the positive class, where there are two classes.

    ValueError where more occur: the other classes would be one, unnoticed. `macro` is of any number of classes.
    -1 that is predicted and never gold is no third one: it is not the positive class, nor right.
    """
    counted = tally("binary F1", predicted, gold, classes, (positive,))
    if len(counted.own) > 2:
        raise ValueError(
            f"binary F1 is of two classes, the positive one being {positive!r}, and there are {len(counted.own)}: "
            f"{_listed(counted.own)}; macro_f1, micro_f1 and weighted_f1 are of any number: --metric macro_f1, in a "
            'prompt task metric = "macro_f1"'
        )
    (found,), _ = counted.each([positive])
    return found


def macro(
    predicted: Labels, gold: Labels, *, classes: Sequence[Label] | None = None, over: Sequence[Label] | None = None
) -> PrecisionRecall:
    """The plain mean over classes of each one's precision, of its recall, and of its F1.

    classes: all there are; None takes those that occur in either. A class that never occurs scores 0 and counts.
    over: the classes averaged over, where some do not count (a "no relation"); None takes all.
    """
    found, _ = tally("macro F1", predicted, gold, classes, over or ()).each(over)
    return _mean(found, [1] * len(found))


def weighted(
    predicted: Labels, gold: Labels, *, classes: Sequence[Label] | None = None, over: Sequence[Label] | None = None
) -> PrecisionRecall:
    """As `macro`, each class weighted by how many gold labels it has."""
    return _mean(*tally("weighted F1", predicted, gold, classes, over or ()).each(over))


def micro(
    predicted: Labels, gold: Labels, *, classes: Sequence[Label] | None = None, over: Sequence[Label] | None = None
) -> PrecisionRecall:
    """Precision, recall and F1 of the counts summed over classes. Over all classes, all three are the accuracy.

    classes, over: see `macro`.
    """
    counted = tally("micro F1", predicted, gold, classes, over or ())
    places = [counted.classes.index(label) for label in dict.fromkeys(counted.classes if over is None else over)]
    parts = (counted.right, counted.predicted, counted.gold)
    return PrecisionRecall.of(*(int(part[places].sum()) for part in parts))


def matthews(predicted: Labels, gold: Labels) -> float:
    """Matthews correlation, for any number of classes (Gorodkin 2004, R_K): 1 perfect, 0 no better than chance.

        (c·s - Σ p_k·t_k) / √((s² - Σ p_k²)(s² - Σ t_k²))

    with s samples, c of them right, p_k predicted and t_k gold as class k. For two classes this is
    (TP·TN - FP·FN) / √((TP+FP)(TP+FN)(TN+FP)(TN+FN)). 0 where either side has one class only.
    """
    counted = tally("Matthews correlation", predicted, gold, None, ())
    # Python's integers: the product below has the fourth power of the samples, and int64 ends at 55,000 of them.
    p, t = [int(n) for n in counted.predicted], [int(n) for n in counted.gold]
    c, s = int(counted.right.sum()), sum(t)
    both = c * s - sum(a * b for a, b in zip(p, t, strict=True))
    spread = (s * s - sum(a * a for a in p)) * (s * s - sum(b * b for b in t))
    return both / math.sqrt(spread) if spread else 0.0


def tally(what: str, predicted: Labels, gold: Labels, classes: Sequence[Label] | None, asked: Sequence[Label]) -> Tally:
    """Counts by class. asked: classes that are to be scored whether or not they occur; ValueError outside `classes`."""
    mine, theirs, known = _placed(what, predicted, gold, classes, asked)
    right, predicted_, gold_ = (np.bincount(x, minlength=len(known)) for x in (mine[mine == theirs], mine, theirs))
    return Tally(known, right, predicted_, gold_)


def _placed(
    what: str, predicted: Labels, gold: Labels, classes: Sequence[Label] | None, asked: Sequence[Label]
) -> tuple[Array, Array, tuple[Label, ...]]:
    """Both as places [N] in the classes, and the classes."""
    mine, theirs = labels(what, predicted, gold)
    given = list(classes or ())
    one_kind(what, {"predicted": mine, "gold": theirs, "the classes": given, "what is asked for": list(asked)})
    known = tuple(dict.fromkeys(given)) if classes is not None else tuple(_sorted({*mine, *theirs, *asked}))
    places = {label: place for place, label in enumerate(known)}
    for name, found in (("predicted", mine), ("gold", theirs), ("what is asked for", list(asked))):
        for place, label in enumerate(found):
            if label not in places:
                raise ValueError(
                    f"{what}: {name}[{place}] is {label!r}, which is none of the {len(known)} classes "
                    f"{_listed(known)}: add it to `classes`, or mend the label"
                )
    return np.array([places[x] for x in mine], int), np.array([places[x] for x in theirs], int), known


def _sorted(found: set[Label]) -> list[Label]:
    return sorted(found, key=lambda label: (label, "") if isinstance(label, int) else (0, label))


def _listed(classes: Sequence[Label]) -> str:
    shown = ", ".join(repr(label) for label in classes[:10])
    return shown + (", …" if len(classes) > 10 else "")


def _mean(found: list[PrecisionRecall], weights: list[int]) -> PrecisionRecall:
    total = sum(weights)
    columns = zip(*((one.precision, one.recall, one.f1) for one in found), strict=True)
    return PrecisionRecall(*(_share(math.fsum(x * w for x, w in zip(c, weights, strict=True)), total) for c in columns))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
