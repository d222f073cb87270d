"""Held-out likelihood: every token once, each number with its definition."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn import Module

from weft.batch import Batch, Dataset, Tokenizer
from weft.data.order import places
from weft.evaluate.baselines import bits_per_byte
from weft.objectives import TERM, Objective

LOSSY = (
    "no bits per byte: the tokenizer is lossy, what it drops (an unknown word, a capital) costs the model nothing, so "
    "its nats say nothing of the text's bytes; nats per token compare models of this same tokenizer"
)

PARTIAL = (
    "no bits per byte: the objective hides a part of the text and asks for that alone, with the rest in sight; nats "
    "per token compare models that are asked for as much of it, hidden in the same way"
)

ROWS = 16  # of a batch


@dataclass(frozen=True)
class Likelihood:
    """nats: -log p summed over all predicted tokens (natural logarithm). tokens: how many were predicted.
    bytes: UTF-8 bytes of the text they stand for; separators between documents cost nats and add no bytes. None where
    the tokens do not give the text back (a lossy tokenizer): what it drops costs nothing; nats say nothing of bytes.
    words: of that text, as whitespace parts it (`count_words`); None as for bytes, and where nobody counted.
    """

    nats: float
    tokens: int
    bytes: int | None
    words: int | None = None

    @property
    def nats_per_token(self) -> float:
        """The mean of -log p."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp of the nats per token, at most exp(700): beyond it a float ends, and reports hold finite numbers."""
        return _exp(self.nats_per_token)

    @property
    def byte_perplexity(self) -> float | None:
        """exp(nats / bytes), which is 2 ^ bits per byte: of any tokenizer that is lossless. None where `bytes` is."""
        return _exp(self.nats / self.bytes) if self.bytes else None

    @property
    def word_perplexity(self) -> float | None:
        """exp(nats / words): all nats, those of spaces and of ends too, spread over the words. None without words."""
        return _exp(self.nats / self.words) if self.words else None

    @property
    def bits_per_byte(self) -> float | None:
        """See `weft.evaluate.bits_per_byte`; the one to compare across tokenizers. None where `bytes` is."""
        return None if self.bytes is None else bits_per_byte(self.nats, self.bytes)

    def figures(self) -> dict[str, float]:
        """The numbers by name, for logs and reports; those that there are."""
        found = {
            "nats_per_token": self.nats_per_token,
            "perplexity": self.perplexity,
            "bits_per_byte": self.bits_per_byte,
            "tokens": self.tokens,
            "bytes": self.bytes,
        }
        return {name: value for name, value in found.items() if value is not None}

    def by_text(self) -> dict[str, float]:
        """What is counted by the text's own units, by name; those that there are."""
        found = {
            "byte_perplexity": self.byte_perplexity,
            "word_perplexity": self.word_perplexity,
            "words": self.words,
        }
        return {name: value for name, value in found.items() if value is not None}


def _exp(nats: float) -> float:
    return math.exp(min(nats, 700.0))


def count_words(text: str) -> int:
    """Runs of characters that are no whitespace: `len(text.split())`."""
    return len(text.split())


def counted_bytes(tokenizer: Tokenizer, size: int, objective: Objective | None = None) -> int | None:
    """`size`, the bytes of a text, where its likelihood is one of all of it; None where `no_bytes` says why not."""
    return None if no_bytes(tokenizer, objective) else size


def no_bytes(tokenizer: Tokenizer, objective: Objective | None = None) -> str:
    """Why what an objective finds in a tokenizer's ids is no likelihood of the text's bytes; "" where it is one."""
    if objective is not None and not objective.likelihood:
        return PARTIAL
    return "" if tokenizer.lossless else LOSSY


def batches(dataset: Dataset[Batch], rows: int, share: tuple[int, int] = (0, 1)) -> Iterator[tuple[Batch, bool]]:
    """Every sample once, in order, `rows` at a time, and True. Of (process, processes), each takes the next in turn.

    All get equally many: one for whom nothing is left gets the last batch again, and False, which is not to be counted
    (where weights are in shares, a pass that one process leaves out is waited for by the others).
    """
    process, processes = share
    count = -(-len(dataset) // rows)
    for turn in range(-(-count // processes)):
        mine = turn * processes + process
        start = min(mine, count - 1) * rows
        yield dataset.batch(places(0, range(start, min(start + rows, len(dataset))))), mine < count


def check(dataset: Dataset[Batch], objective: Objective) -> None:
    """ValueError where `likelihood` would have nothing to work with; better said before a run than at its end."""
    if len(dataset) == 0:
        raise ValueError("there is nothing to evaluate: the data is empty, or shorter than two tokens")
    terms = objective.counts(dataset.batch(places(0, [0])))
    if TERM not in terms:
        raise ValueError(
            f"{type(objective).__name__} has the terms {', '.join(terms) or 'none'}: held-out likelihood is that of a "
            f"term called {TERM!r}, so call its -log p that"
        )


@torch.no_grad()
def likelihood(
    module: Module,
    dataset: Dataset[Batch],
    objective: Objective,
    *,
    bytes: int | None,
    rows: int = ROWS,
    share: tuple[int, int] = (0, 1),
    total: Callable[[Sequence[float]], list[float]] = list,
    advance: Callable[[int], None] = lambda more: None,
) -> Likelihood:
    """-log p of a dataset under the module as it stands (its mode and precision are the caller's).

    A language model's rows are non-overlapping blocks of its context: the first token of a block is predicted from one
    token only, so that a longer context gives a lower figure, and so do rows that overlap (`Blocks`, stride).

    On several processes, all of which call this alike, `share` is (this process, processes) and `total` adds numbers up
    over them, place by place: the batches are those of one process, each computed by one of them.

    bytes: of the text that the dataset spells; None where it does not spell all of it, see `Likelihood`. advance: hears
    how many samples more were read.

    ValueError where `check` finds nothing to work with, or no place of the data predicts anything.
    """
    check(dataset, objective)
    device = next(module.parameters()).device
    nats, tokens = 0.0, 0
    for batch, counted in batches(dataset, rows, share):
        loss = objective.losses(module, batch.to(device))[TERM]
        if counted:
            nats, tokens = nats + loss.sum.double().item(), tokens + loss.count
        advance(len(set(batch.samples)))
    nats, tokens = total([nats, tokens])
    if not tokens:
        raise ValueError(f"none of the {len(dataset)} samples has a label: there is nothing to evaluate")
    return Likelihood(nats, int(tokens), bytes)
