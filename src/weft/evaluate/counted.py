"""Language models made by counting, with one face: what a transformer has to beat, scored as a transformer is.

    model = Bigram.fit(train, vocab)                      # or NGram.fit(train, vocab, order=5): Kneser–Ney
    counted_likelihood(model, held_out, bytes=size).bits_per_byte

numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from weft.evaluate.baselines import UNSEEN, Array, checked, find
from weft.evaluate.perplexity import Likelihood


class Counted(Protocol):
    """A model of ids in [0, vocab) that was counted and not trained; `Bigram` and `NGram` are two.

    parameters: the numbers that it keeps, keys left out. flops: floating-point operations for each token that it
    predicts; finding the counts is none.
    """

    @property
    def vocab(self) -> int: ...
    @property
    def parameters(self) -> int: ...
    @property
    def flops(self) -> int: ...

    def probabilities(self, tokens: Array) -> Array:
        """float64 [N - 1]: p(tokens[i] | the tokens before it) for i = 1 .. N - 1."""
        ...


@dataclass(frozen=True, eq=False)
class Bigram:
    """p(w | v) = (c(v w) + add) / (c(v) + add · vocab), c(v) being how often anything followed v.

    add: 0 is counting alone, where a pair that was never seen has probability 0; 1 is Laplace's rule, less is
    Lidstone's. A token that nothing ever followed says nothing: 1 / vocab, which is the limit for add -> 0.
    """

    vocab: int
    add: float
    keys: Array  # int64 [pairs + 1] sorted: v · vocab + w; last UNSEEN
    counts: Array  # int64 [pairs + 1] how often each was seen; last 0
    totals: Array  # int64 [vocab] c(v)

    @classmethod
    def fit(cls, train: Array, vocab: int, add: float = 1.0) -> Bigram:
        """Count `train` [N], one stream of ids. ValueError for an id outside the vocabulary, and an `add` below 0."""
        if not 0 <= add < np.inf:
            raise ValueError(f"add = {add}, but what is added to each count is a finite number, at least 0")
        tokens = checked("train", train, vocab)
        keys, counts = np.unique(tokens[:-1] * vocab + tokens[1:], return_counts=True)  # [pairs]
        totals = np.bincount(tokens[:-1], minlength=vocab)  # [vocab]
        return cls(vocab, add, np.append(keys, UNSEEN), np.append(counts, 0), totals)

    @property
    def parameters(self) -> int:
        """Pairs that were seen, and how often each token was followed."""
        return len(self.counts) - 1 + self.vocab

    @property
    def flops(self) -> int:
        """Two sums and a quotient."""
        return 3

    def probabilities(self, tokens: Array) -> Array:
        """float64 [N - 1]: p(tokens[i] | tokens[i - 1])."""
        tokens = checked("held_out", tokens, self.vocab)
        before, after = tokens[:-1], tokens[1:]
        seen = self.counts[find(self.keys, before * self.vocab + after)] + self.add  # [N - 1]
        total = self.totals[before] + self.add * self.vocab
        return np.divide(seen, total, out=np.full(len(after), 1 / self.vocab), where=total > 0)


def probability(model: Counted, context: Sequence[int], token: int) -> float:
    """p(token | context). ValueError for an empty context: a text begins behind an end-of-text id."""
    if not len(context):
        raise ValueError("a token is predicted from at least one before it: begin a text with the end-of-text id")
    return float(model.probabilities(np.asarray([*context, token], np.int64))[-1])


def counted_likelihood(model: Counted, tokens: Array, *, bytes: int | None) -> Likelihood:
    """-log p of tokens[1:], each once: of a stream of documents (`weft.data.stream`), what `weft.evaluate.likelihood`
    counts of a transformer that reads the same stream, ends of documents included.

    bytes: of the text that the stream spells; None where the tokenizer is lossy, see `Likelihood`.
    ValueError where there is nothing to predict, and, naming the first, for a token that has probability 0.
    """
    if len(tokens) < 2:
        raise ValueError(f"there is nothing to evaluate: {len(tokens)} tokens, and the first is context alone")
    p = model.probabilities(tokens)
    never = np.flatnonzero(p == 0)
    if len(never):
        at = int(never[0]) + 1
        raise ValueError(
            f"token {at} of the held-out text, id {tokens[at]} after id {tokens[at - 1]}, was never seen in training: "
            f"its probability is 0 and the perplexity infinite ({len(never):,} such tokens); add more than 0 to each "
            "count, or take Kneser–Ney"
        )
    return Likelihood(float(-np.log(p).sum()), len(p), bytes)
