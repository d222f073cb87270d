"""What is drawn: which words of the text are read, how far each window reaches, and the words that do not fit in it.

Mikolov, Sutskever, Chen, Corrado, Dean (2013), Distributed Representations of Words and Phrases: §2.2 negative
sampling, §2.3 subsampling of frequent words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from weft.vectors.corpus import Corpus

POWER = 0.75  # of the counts, of words that do not fit
CHUNK = 1 << 22  # tokens whose windows are shuffled together: what they take of memory does not grow with the text


@dataclass(frozen=True, eq=False)
class Windows:
    """P words, each in the middle of its window.

    around int64 [P, C]: the words around it, C being twice the windows' reach; real bool [P, C]: those that are there
    (a line may end). targets int64 [P, 1 + K]: the word in the middle, then K drawn ones; asked bool [P, 1 + K]: all
    but drawn ones that happen to be the word in the middle.
    """

    around: np.ndarray
    real: np.ndarray
    targets: np.ndarray
    asked: np.ndarray


def keep_probabilities(counts: np.ndarray, sample: float) -> np.ndarray:
    """float64 [V]: with which probability an occurrence of each word is read, min(1, √(sample / f)), f being the word's
    share of the text (§2.3, eq. 5). sample = 0 keeps all."""
    if not sample:
        return np.ones(len(counts))
    return np.minimum(1.0, np.sqrt(sample * counts.sum() / counts))


def noise_probabilities(counts: np.ndarray) -> np.ndarray:
    """float64 [V]: with which probability each word is drawn as one that does not fit, f^0.75 / Σ f^0.75 (§2.2)."""
    raised = counts.astype(np.float64) ** POWER
    return raised / raised.sum()


class Noise:
    """Words drawn from `noise_probabilities`; exactly, where the authors have a table of 1e8 places."""

    def __init__(self, counts: np.ndarray) -> None:
        self._upto = np.cumsum(noise_probabilities(counts))  # [V]
        self._upto[-1] = 1.0  # whatever rounding made of it

    def draw(self, chance: np.random.Generator, rows: int, columns: int) -> np.ndarray:
        """int64 [rows, columns]."""
        return np.searchsorted(self._upto, chance.random((rows, columns)), side="right")


def windows(
    corpus: Corpus,
    chance: np.random.Generator,
    *,
    keep: np.ndarray,
    noise: Noise,
    reach: int,
    negatives: int,
    batch: int,
) -> Iterator[tuple[int, Windows]]:
    """An epoch: every token that is kept, once in the middle, `batch` at a time, and how many tokens of the text these
    stand for.

    Each window reaches 1 to `reach` words to either side, all alike likely, so that near words are seen more often;
    what was not kept takes no place in it. The windows of a batch reach equally far, so that none is padded but where
    lines end; batches, and what is in them, come in a random order, within a part of the text.
    """
    for start in range(0, len(corpus.tokens), CHUNK):
        tokens, lines = corpus.tokens[start : start + CHUNK], corpus.lines[start : start + CHUNK]
        kept = chance.random(len(tokens)) < keep[tokens]
        read = len(tokens)
        tokens, lines = tokens[kept].astype(np.int64), lines[kept]  # [N]
        reaches = chance.integers(1, reach + 1, len(tokens))  # [N]
        order = chance.permutation(len(tokens))
        parts = [(r, order[reaches[order] == r]) for r in range(1, reach + 1)]
        cuts = [(r, part[at : at + batch]) for r, part in parts for at in range(0, len(part), batch)]
        for number in chance.permutation(len(cuts)):
            r, middle = cuts[number]
            yield read * len(middle) // len(tokens), _windows(tokens, lines, middle, r, noise, negatives, chance)


def _windows(
    tokens: np.ndarray,
    lines: np.ndarray,
    middle: np.ndarray,
    reach: int,
    noise: Noise,
    negatives: int,
    chance: np.random.Generator,
) -> Windows:
    """The windows around the places `middle` [P] of a text."""
    offsets = np.delete(np.arange(-reach, reach + 1), reach)  # [C]
    at = middle[:, None] + offsets  # [P, C]
    inside = at.clip(0, len(tokens) - 1)
    real = (at == inside) & (lines[inside] == lines[middle][:, None])
    word = tokens[middle][:, None]  # [P, 1]
    drawn = noise.draw(chance, len(middle), negatives)  # [P, K]
    targets = np.concatenate([word, drawn], axis=1)  # [P, 1 + K]
    asked = np.concatenate([np.ones_like(word, bool), drawn != word], axis=1)
    return Windows(tokens[inside], real, targets, asked)
