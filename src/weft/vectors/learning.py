"""CBOW and skip-gram with negative sampling (Mikolov et al. 2013a, b), by gradients written out.

Every word has two vectors: v for where it stands around another, and u for where it is the word in the middle. Of a
window with the words c_1 … c_C around w, and K words n_1 … n_K that were drawn,

    skip-gram   -Σ_c [ log σ(u_w · v_c) + Σ_k log σ(-u_{n_k} · v_c) ]
    CBOW        -log σ(u_w · h) - Σ_k log σ(-u_{n_k} · h),   h the mean of the v_c

is minimised. As in the authors' program, the words around predict the one in the middle, also in skip-gram: these are
the same pairs as those of the paper, which has it the other way. Where we differ: the K drawn words are shared by all
pairs of a window (Ji et al. 2016), whose scores are then one product of matrices; a step is that of many windows at
once, by Adagrad; the gradient of a mean is divided by how many it is of, where the program adds the whole to each.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from weft.vectors.corpus import Corpus
from weft.vectors.draw import Noise, Windows, keep_probabilities, windows
from weft.vectors.space import Vectors

Kind = Literal["skipgram", "cbow"]
LOWEST = 1e-4  # of the rate, as a share of its beginning: it falls in a straight line and never to nothing
TINY = 1e-8  # beside a root that is divided by


@dataclass(frozen=True)
class VectorSettings:
    """What is learned and how; see `weft.vectors.learning`."""

    kind: Kind = "skipgram"
    width: int = 100  # of a vector
    window: int = 5  # words to either side, at most
    negatives: int = 5  # drawn words for each one that fits
    sample: float = 1e-3  # words with more than this share of the text are not read each time; 0 = all are
    epochs: int = 10  # over the text
    rate: float = 0.1  # Adagrad's, at the beginning; it falls in a straight line
    batch: int = 1024  # windows a step
    seed: int = 0

    def check(self) -> None:
        """ValueError, naming the setting, for what cannot be meant."""
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind is {self.kind!r}; it is one of {', '.join(get_args(Kind))}")
        for name in ("width", "window", "negatives", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name, least in (("sample", "at least"), ("rate", "above")):
            value = getattr(self, name)
            if not 0 <= value < float("inf") or (value == 0 and least == "above"):
                raise ValueError(f"{name} is {value}; it must be a finite number, {least} 0")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; it must be at least 0")


@dataclass(frozen=True)
class Learned:
    """How far learning is: share of it all, nats a score (a pair that fits, or does not) since the last time, and words
    of the text a second."""

    share: float
    nats: float
    words_per_second: float


@dataclass(frozen=True, eq=False)
class Gradients:
    """loss: the sum over all scores, and how many there are. around [P, C, D], targets [P, 1 + K, D]: of the vectors
    that stand there; a word that stands in several places has the sum."""

    loss: Tensor
    scores: int
    around: Tensor
    targets: Tensor


class EachWord:
    """Skip-gram: every word around tells the one in the middle."""

    def read(self, v: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """What is scored, [P, C, D], and what of it is there, [P, C]. v [P, C, D], real [P, C]."""
        return v, real

    def back(self, gradient: Tensor, real: Tensor) -> Tensor:
        """The gradient of v, [P, C, D], from that of what was scored."""
        return gradient


class TheirMean:
    """CBOW: the mean of the words around does."""

    def read(self, v: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """[P, 1, D], and whether there is a word around at all, [P, 1]."""
        return self.share(v, real)[:, None] @ v, real.any(dim=1, keepdim=True)

    def back(self, gradient: Tensor, real: Tensor) -> Tensor:
        """[P, C, D]: a mean's gradient, divided."""
        return self.share(gradient, real)[:, :, None] * gradient

    def share(self, like: Tensor, real: Tensor) -> Tensor:
        """One over the number of words around, [P, C]; 0 where there is none."""
        return real.to(like.dtype) / real.sum(dim=1, keepdim=True).clamp(min=1)


READINGS: dict[str, EachWord | TheirMean] = {"skipgram": EachWord(), "cbow": TheirMean()}


def gradients(kind: Kind, around: Tensor, middle: Tensor, found: Windows) -> Gradients:
    """Loss and gradients of some windows. around, middle: [V, D], the v and the u."""
    reading, real, asked = READINGS[kind], torch.from_numpy(found.real), torch.from_numpy(found.asked)
    v = F.embedding(torch.from_numpy(found.around), around)  # [P, C, D]
    u = F.embedding(torch.from_numpy(found.targets), middle)  # [P, 1 + K, D]
    read, there = reading.read(v, real)  # [P, C or 1, D], [P, C or 1]
    counted = there[:, :, None] & asked[:, None]  # [P, C or 1, 1 + K]
    scores = read @ u.mT  # [P, C or 1, 1 + K]
    wrong = torch.sigmoid(scores)
    wrong[..., 0] -= 1
    wrong *= counted
    scores[..., 0] *= -1
    loss = (F.softplus(scores) * counted).sum()
    return Gradients(loss, int(counted.sum()), reading.back(wrong @ u, real), wrong.mT @ read)


class Table:
    """A vector for each word, fp32 [V, D], learned by Adagrad (Duchi et al. 2011): every number has a rate of its own,
    that falls with the squares of its gradients so far, so that rare words learn fast and frequent ones, of which a
    step sums many gradients, do not run away. Only the rows of a step are touched."""

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors
        self.squares = torch.zeros_like(vectors)

    def descend(self, rows: np.ndarray, gradient: Tensor, rate: float) -> None:
        """A step down. rows [P, C], gradient [P, C, D]; a row that is there several times has the sum."""
        found, place = torch.unique(torch.from_numpy(rows), return_inverse=True)  # [R], [P, C]
        flat = gradient.flatten(0, 1)  # [P · C, D]
        summed = torch.zeros(len(found), flat.shape[1]).index_add_(0, place.flatten(), flat)  # [R, D]
        squares = F.embedding(found, self.squares).addcmul_(summed, summed)
        self.squares.index_copy_(0, found, squares)
        self.vectors.index_add_(0, found, summed.div_(squares.sqrt_().add_(TINY)), alpha=-rate)


def learn(
    corpus: Corpus, settings: VectorSettings, *, watch: Callable[[Learned], None] = lambda learned: None
) -> Vectors:
    """Vectors of the corpus's words. watch: hears a few times a second how far it is. The same seed gives the same
    vectors on the same machine. ValueError where no word has another one around it."""
    settings.check()
    chance = np.random.default_rng(settings.seed)
    words, width = len(corpus.words), settings.width
    start = torch.Generator().manual_seed(settings.seed)
    around = Table((torch.rand(words, width, generator=start) - 0.5) / width)
    middle = Table(torch.zeros(words, width))
    noise, keep = Noise(corpus.counts), keep_probabilities(corpus.counts, settings.sample)
    done, scores, total, pace = 0, 0, settings.epochs * len(corpus.tokens), _Pace(watch)
    for _ in range(settings.epochs):
        epoch = windows(
            corpus,
            chance,
            keep=keep,
            noise=noise,
            reach=settings.window,
            negatives=settings.negatives,
            batch=settings.batch,
        )
        for read, found in epoch:
            rate = settings.rate * max(LOWEST, 1 - done / total)
            made = gradients(settings.kind, around.vectors, middle.vectors, found)
            around.descend(found.around, made.around, rate)
            middle.descend(found.targets, made.targets, rate)
            done, scores = done + read, scores + made.scores
            pace.step(made, done, done / total)
    if not scores:
        raise ValueError(
            f"nothing is learned from {len(corpus.tokens):,} words of text: none has another one beside it in its "
            "line, or none that is left; give running text, not a list of words, or set sample=0 and count rarer words"
        )
    pace.tell(done, 1.0)
    return Vectors(corpus.words, corpus.counts, around.vectors, middle.vectors, settings.kind)


class _Pace:
    """Tells a watcher a few times a second."""

    def __init__(self, watch: Callable[[Learned], None], every: float = 0.3) -> None:
        self.watch, self.every = watch, every
        self.began = self.last = time.perf_counter()
        self.nats, self.scores = 0.0, 0

    def step(self, made: Gradients, done: int, share: float) -> None:
        """One step more."""
        self.nats, self.scores = self.nats + made.loss.item(), self.scores + made.scores
        if time.perf_counter() - self.last >= self.every:
            self.tell(done, share)

    def tell(self, done: int, share: float) -> None:
        """What was found since the last time."""
        if not self.scores:
            return
        self.last = time.perf_counter()
        self.watch(Learned(share, self.nats / self.scores, done / max(1e-9, self.last - self.began)))
        self.nats, self.scores = 0.0, 0
