"""Samples of a task, each with a class: what they are made of, and the settings of several tasks at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from weft.batch import IGNORED
from weft.data.signals.classes import known_as
from weft.data.signals.questions import QuestionSettings
from weft.data.signals.settings import Augment


@dataclass(frozen=True)
class TaskSettings:
    """What is read. source: a registered one. paths: NAME=PATH each, of a task and its samples, see `samples_of`."""

    source: str = "tasks"
    paths: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()  # those that are trained; none: all
    weights: tuple[str, ...] = ()  # NAME=NUMBER each: how often a task is read, beside the others; 1 unsaid
    held_out: float = 0.1  # share of the samples, by their text, caption or name, where no file's name says it
    seed: int = 0  # of the split, of questions that are made, and of the order of tasks
    kinds: tuple[str, ...] = ()  # the kinds of question that are asked; none: all
    tokenizer: str = "bpe"  # a kind, one of which is trained on the texts, or a folder of one
    vocab: int = 4000  # the most ids it may have
    augment: Augment = field(default_factory=Augment)

    def check(self) -> None:
        """ValueError, naming the setting, for what can be none."""
        if not 0 < self.held_out < 1:
            raise ValueError(f"data.held_out={self.held_out}, but a share of the samples is held out: above 0, below 1")
        self.augment.check()
        self.shares()

    def shares(self) -> dict[str, float]:
        """How often tasks are read, by name, where it is said. ValueError for what says no such thing."""
        found = dict[str, float]()
        for word in self.weights:
            name, _, number = (part.strip() for part in word.partition("="))
            try:
                found[name] = float(number)
            except ValueError:
                found[name] = 0.0
            if not name or not 0 < found[name] < math.inf:
                raise ValueError(f"data.weights={word}: write NAME=NUMBER, a number above 0, as in mood=0.5")
        return found

    @property
    def questions(self) -> QuestionSettings:
        """How questions about pictures are made."""
        return QuestionSettings(held_out=self.held_out, seed=self.seed, kinds=self.kinds)


@dataclass(frozen=True)
class Samples:
    """Those of one task, N of them. names: what each is called; labels: the number of its class among `classes`,
    int64 [N], IGNORED where nobody said it; held: which are held out, bool [N]. texts: of each, where the task reads
    some; pixels, picture: pictures uint8 [P, image, image, channels], and which of them is each sample's, int64 [N]."""

    name: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: np.ndarray
    held: np.ndarray
    texts: tuple[str, ...] | None = None
    pixels: np.ndarray | None = None
    picture: np.ndarray | None = None

    @property
    def reads(self) -> str:
        """What each sample has."""
        return "text" if self.pixels is None else "image" if self.texts is None else "both"

    def only(self, places: Sequence[int] | np.ndarray) -> Samples:
        """Some of them."""
        return replace(
            self,
            names=tuple(self.names[place] for place in places),
            labels=self.labels[places],
            held=self.held[places],
            texts=None if self.texts is None else tuple(self.texts[place] for place in places),
            picture=None if self.picture is None else self.picture[places],
        )


def labelled(
    name: str,
    names: Sequence[str],
    words: Sequence[str | None],
    held: np.ndarray,
    *,
    texts: tuple[str, ...] | None = None,
    pixels: np.ndarray | None = None,
    picture: np.ndarray | None = None,
) -> Samples:
    """Samples whose classes are the words of what is trained on (where nothing is, of all), sorted. ValueError where
    one that is held out has another."""
    pairs, nothing = zip(words, held, strict=True), bool(held.all())
    classes = tuple(sorted({word for word, out in pairs if word is not None and (nothing or not out)}))
    number = {word: place for place, word in enumerate(classes)}
    strange = sum(word is not None and word not in number for word in words)
    if strange and classes:
        first = next(word for word in words if word is not None and word not in number)
        raise ValueError(
            f"{strange:,} held-out samples of the task {name!r} are {first!r} or another class that no sample to train "
            "on has: hold out others (data.seed), or ask for fewer kinds (data.kinds)"
        )
    labels = np.array([number.get(word, IGNORED) if word is not None else IGNORED for word in words], np.int64)
    if pixels is not None and picture is None:
        picture = np.arange(len(names))
    return Samples(name, classes, tuple(names), labels, held, texts, pixels, picture)


def called(samples: Samples, names: Sequence[str]) -> Samples:
    """With the names that a model has for classes which the data number from 0 on, or call so (see `known_as`)."""
    own = known_as(samples.classes, names) if samples.classes else None
    if own is None:
        return samples
    order = np.array(own)
    labels = np.where(samples.labels == IGNORED, IGNORED, order[samples.labels.clip(min=0)])
    return replace(samples, classes=tuple(names), labels=labels)
