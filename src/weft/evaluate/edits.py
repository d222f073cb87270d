"""Error rates of what was heard: the fewest words, or characters, to put in, leave out or change, for what was said."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from weft.evaluate.inputs import Array, matched

References = Sequence[str] | Sequence[Sequence[str]]


def distance(one: Sequence[object], other: Sequence[object]) -> int:
    """The fewest insertions, deletions and substitutions that make one sequence of the other, each counted 1
    (Levenshtein 1966), by Wagner and Fischer's table, of which a row is held."""
    above = list(range(len(other) + 1))
    for row, left in enumerate(one, start=1):
        here = [row]
        for column, right in enumerate(other, start=1):
            here.append(min(above[column] + 1, here[-1] + 1, above[column - 1] + (left != right)))
        above = here
    return above[-1]


def words(text: str) -> list[str]:
    """A text's words: what stands between white space, as it is."""
    return text.split()


def characters(text: str) -> list[str]:
    """A text's characters, white space at its ends left out and a run of it within counted as one space."""
    return list(" ".join(text.split()))


def word_error_rate(predicted: Sequence[str], gold: References) -> float:
    """Word insertions, deletions and substitutions of all texts, for each word that was said: 0 is best, and it may
    exceed 1. Case and punctuation count. Of several references the one with the fewest errors for its words counts.
    ValueError for unequal counts, none, and where nothing was said at all."""
    return _rate("word error rate", _counted(words), predicted, gold)


def character_error_rate(predicted: Sequence[str], gold: References) -> float:
    """`word_error_rate` of characters, spaces between words included."""
    return _rate("character error rate", _counted(characters), predicted, gold)


def word_errors(predicted: Sequence[str], gold: References) -> tuple[Array, Array]:
    """Of each text the errors and the words that were said, fp64 [N] each."""
    return _counted(words)(predicted, gold)


def character_errors(predicted: Sequence[str], gold: References) -> tuple[Array, Array]:
    """Of each text the errors and the characters that were said, fp64 [N] each."""
    return _counted(characters)(predicted, gold)


def _counted(cut: Callable[[str], list[str]]) -> Callable[[Sequence[str], References], tuple[Array, Array]]:
    def errors(predicted: Sequence[str], gold: References) -> tuple[Array, Array]:
        found = [_best(cut(text), one, cut) for text, one in zip(predicted, gold, strict=True)]
        above, below = zip(*found, strict=True)
        return np.array(above, np.float64), np.array(below, np.float64)

    return errors


def _best(text: list[str], gold: str | Sequence[str], cut: Callable[[str], list[str]]) -> tuple[int, int]:
    """Errors and length of the reference that fits best."""
    several = [gold] if isinstance(gold, str) else list(gold)
    if not several:
        raise ValueError("a sample has no reference: give it one, or leave the sample out")
    counted = [(distance(text, said), len(said)) for said in map(cut, several)]
    return min(counted, key=lambda pair: (pair[0] / max(1, pair[1]), pair[0]))


def _rate(
    name: str,
    errors: Callable[[Sequence[str], References], tuple[Array, Array]],
    predicted: Sequence[str],
    gold: References,
) -> float:
    matched(name, predicted, gold)
    above, below = errors(predicted, gold)
    if not below.sum():
        raise ValueError(f"{name}: nothing was said in any of {len(gold):,} samples: there is nothing to count against")
    return float(above.sum() / below.sum())
