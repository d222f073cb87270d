"""BART's noise (Lewis et al. 2020, §2.2): a text is damaged in one way or in several, one after the other; the target
is the text. The authors settled on two (§5.1): sentences permuted, then 30 % of the words infilled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor

from weft.objectives.noise.marks import Marks
from weft.objectives.noise.spans import Span, check_mean, check_share, choose, poisson
from weft.objectives.noise.words import Words


class Noise(Protocol):
    """One way to damage a text."""

    def apply(self, ids: Tensor, draw: Generator, marks: Marks, words: Words) -> Tensor:
        """The damaged text, int64 [m], of ids [n]."""
        ...


def noised(ids: Tensor, noises: Iterable[Noise], draw: Generator, marks: Marks, words: Words) -> Tensor:
    """A text, ids [n], damaged in these ways, in this order; int64 [m]."""
    for noise in noises:
        ids = noise.apply(ids, draw, marks, words)
    return ids


@dataclass(frozen=True)
class TokenMasking:
    """A share of the tokens, exactly, becomes the mask."""

    share: float = 0.15

    def __post_init__(self) -> None:
        check_share(self.share)

    def apply(self, ids: Tensor, draw: Generator, marks: Marks, words: Words) -> Tensor:
        """As long as it was, [n]."""
        return ids.masked_fill(choose(len(ids), self.share, draw), marks.mask)


@dataclass(frozen=True)
class TokenDeletion:
    """A share of the tokens, exactly, is left out: which places they had is not said."""

    share: float = 0.15

    def __post_init__(self) -> None:
        check_share(self.share)

    def apply(self, ids: Tensor, draw: Generator, marks: Marks, words: Words) -> Tensor:
        """Shorter by the share."""
        return ids[~choose(len(ids), self.share, draw)]


@dataclass(frozen=True)
class TextInfilling:
    """Spans become one mask each: how many tokens it stands for is not said, and of a span without any it is inserted.

    Lengths are Poisson(mean), in whole words, as in the authors' code; so many that a share of the words is hidden, see
    `poisson`.
    """

    share: float = 0.3
    mean: float = 3.0

    def __post_init__(self) -> None:
        check_share(self.share)
        check_mean(self.mean)

    def apply(self, ids: Tensor, draw: Generator, marks: Marks, words: Words) -> Tensor:
        """With masks for spans."""
        return infilled(ids, poisson(words.starts(ids), self.share, draw, self.mean), marks.mask)


@dataclass(frozen=True)
class SentencePermutation:
    """Sentences in a random order, every order equally likely. They end as `Words.ends_sentence` says, the last with
    the text."""

    def apply(self, ids: Tensor, draw: Generator, marks: Marks, words: Words) -> Tensor:
        """The same tokens, [n]."""
        parts = sentences(ids, words.ends_sentence(ids))
        return reordered(parts, torch.randperm(len(parts), generator=draw))


@dataclass(frozen=True)
class DocumentRotation:
    """The text begins with a token that was drawn, each equally likely, and what was before it comes last."""

    def apply(self, ids: Tensor, draw: Generator, marks: Marks, words: Words) -> Tensor:
        """The same tokens, [n]."""
        return rotated(ids, int(torch.randint(len(ids), (), generator=draw))) if len(ids) else ids


def infilled(ids: Tensor, spans: Iterable[Span], mask: int) -> Tensor:
    """Each span of ids [n], in order and none over another, as one mask; int64 [m]."""
    parts, before, hole = list[Tensor](), 0, ids.new_tensor([mask])
    for start, stop in spans:
        parts += [ids[before:start], hole]
        before = stop
    return torch.cat((*parts, ids[before:]))


def sentences(ids: Tensor, ends: Tensor) -> tuple[Tensor, ...]:
    """The text, ids [n], cut behind each place of `ends`, bool [n]; what is behind the last is a sentence too."""
    cuts = (ends[:-1].nonzero()[:, 0] + 1).tolist()
    return ids.tensor_split(cuts)


def reordered(parts: tuple[Tensor, ...], order: Tensor) -> Tensor:
    """The parts of a text in this order, int64 [n]."""
    return torch.cat([parts[number] for number in order.tolist()])


def rotated(ids: Tensor, start: int) -> Tensor:
    """The text, ids [n], from the place `start` on, then what was before it."""
    return ids.roll(-start)
