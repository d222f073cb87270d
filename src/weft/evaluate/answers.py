"""Answers to questions on a text: exact match and F1 as SQuAD's official script evaluate-v2.0.py defines them."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from weft.evaluate.inputs import finite, matched

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)  # ASCII's, as the script has it: “ and — stay
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


@dataclass(frozen=True)
class AnswerShare:
    """Means over `total` questions, in percent."""

    exact: float
    f1: float
    total: int


@dataclass(frozen=True)
class BestThreshold:
    """The best `score` in percent that some threshold reaches: what scores above it is left unanswered.

    threshold: the largest no-answer score that is still answered. 0.0 where answering nothing is best, as the script
    writes it, even where scores are differences of logits and 0.0 would leave some answered.
    """

    score: float
    threshold: float


@dataclass(frozen=True)
class AnswerScores:
    """What the script prints. has_answer, no_answer: the questions with gold answers and those without; None where
    there are none. best_exact, best_f1: None where no no-answer scores were given."""

    overall: AnswerShare
    has_answer: AnswerShare | None
    no_answer: AnswerShare | None
    best_exact: BestThreshold | None
    best_f1: BestThreshold | None

    def figures(self) -> dict[str, float]:
        """The numbers under the script's names, those that there are."""
        found = dict[str, float]()
        for prefix, share in (("", self.overall), ("HasAns_", self.has_answer), ("NoAns_", self.no_answer)):
            if share is not None:
                found |= {f"{prefix}exact": share.exact, f"{prefix}f1": share.f1, f"{prefix}total": share.total}
        for name, best in (("best_exact", self.best_exact), ("best_f1", self.best_f1)):
            if best is not None:
                found |= {name: best.score, f"{name}_thresh": best.threshold}
        return found


def normalised(text: str) -> str:
    """Lower case, then without ASCII punctuation, then without the words a, an and the, then single spaces.

    In this order: "the-end" loses its hyphen first and is one word, of which nothing is taken.
    """
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(predicted: str, gold: Sequence[str]) -> int:
    """1 where the normalised answer equals a normalised gold answer, else 0. No gold answer: 1 for an empty one."""
    return max(int(normalised(predicted) == normalised(one)) for one in _golds(gold))


def answer_f1(predicted: str, gold: Sequence[str]) -> float:
    """F1 over the normalised words, each counted as often as it occurs, with the gold answer that gives most.

    Where either has no words, 1 if both have none, else 0.
    """
    return max(_f1(predicted, one) for one in _golds(gold))


def squad(
    predicted: Sequence[str],
    gold: Sequence[Sequence[str]],
    *,
    no_answer: Sequence[float] | None = None,
    threshold: float = 1.0,
) -> AnswerScores:
    """All that evaluate-v2.0.py prints, in percent.

    predicted: one answer a question; "" says that there is none. gold: all answers that a question has; none where it
    has no answer. no_answer: how strongly the model holds that there is none, a probability or any other score; a
    question above `threshold` counts as answered with "". The script's default, 1.0, leaves probabilities alone, and
    without scores nothing is above it.

    The best thresholds do without `threshold`: beginning with no question answered, questions are answered in the order
    of rising scores, those of equal score in the order given, and the best sum on the way is taken. As in the script, a
    best may lie between two questions of equal score, which no threshold tells apart.

    ValueError for unequal counts, none, a gold that is one text and no list, a score that is no finite number.
    """
    matched("SQuAD's scores", predicted, gold)
    exact = [float(exact_match(p, g)) for p, g in zip(predicted, gold, strict=True)]
    f1 = [answer_f1(p, g) for p, g in zip(predicted, gold, strict=True)]
    answerable = [len(g) > 0 for g in gold]
    if no_answer is None:
        return AnswerScores(*_shares(exact, f1, answerable), best_exact=None, best_f1=None)
    matched("SQuAD's no-answer scores (as predicted)", no_answer, gold)
    scores = finite("SQuAD's scores", "no_answer", no_answer).tolist()
    silent = [score > threshold for score in scores]
    kept_exact, kept_f1 = (
        [float(not a) if s else x for x, s, a in zip(each, silent, answerable, strict=True)] for each in (exact, f1)
    )
    best_exact, best_f1 = (_best(predicted, each, scores, answerable) for each in (exact, f1))
    return AnswerScores(*_shares(kept_exact, kept_f1, answerable), best_exact, best_f1)


def _shares(
    exact: Sequence[float], f1: Sequence[float], answerable: Sequence[bool]
) -> tuple[AnswerShare, AnswerShare | None, AnswerShare | None]:
    """Over all questions, those that have an answer, and those that have none; None where there are none of a kind."""

    def share(places: Sequence[int]) -> AnswerShare:
        means = (100.0 * sum(each[place] for place in places) / len(places) for each in (exact, f1))
        return AnswerShare(*means, total=len(places))

    having = [place for place, a in enumerate(answerable) if a]
    lacking = [place for place, a in enumerate(answerable) if not a]
    return share(range(len(exact))), share(having) if having else None, share(lacking) if lacking else None


def _best(
    predicted: Sequence[str], scores: Sequence[float], no_answer: Sequence[float], answerable: Sequence[bool]
) -> BestThreshold:
    reached: float = sum(not a for a in answerable)  # nothing answered: right where there is no answer
    best = BestThreshold(reached, 0.0)
    for place in sorted(range(len(scores)), key=lambda i: no_answer[i]):
        reached += scores[place] if answerable[place] else -int(predicted[place] != "")
        if reached > best.score:
            best = BestThreshold(reached, no_answer[place])
    return BestThreshold(100.0 * best.score / len(scores), best.threshold)


def _golds(gold: Sequence[str]) -> Sequence[str]:
    """Those of which something is left when normalised; the empty answer where there is none."""
    if isinstance(gold, str):
        raise ValueError(f"SQuAD's scores: the gold answers are one text, {gold[:40]!r}: pass a list, [] for no answer")
    return [one for one in gold if normalised(one)] or [""]


def _f1(predicted: str, gold: str) -> float:
    mine, theirs = normalised(predicted).split(), normalised(gold).split()
    if not mine or not theirs:
        return float(mine == theirs)
    same = (Counter(mine) & Counter(theirs)).total()
    if not same:
        return 0.0
    precision, recall = same / len(mine), same / len(theirs)
    return 2 * precision * recall / (precision + recall)
