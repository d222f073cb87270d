"""Text made here, so that a run can be tried where there is no data: a small world with something to learn."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from weft.data.pairs import Pair
from weft.data.sources import SOURCES, Document

_WHO = ("the weaver", "a sailor", "my sister", "the old king", "no one", "every child", "the moon", "a grey cat")
_DID = ("sees", "mends", "follows", "forgets", "paints", "carries", "hears", "sells")
_WHAT = ("the red thread", "a broken loom", "seven boats", "the long road", "a quiet song", "the winter", "two lamps")
_WHEN = ("at dawn", "in the rain", "before supper", "without a word", "on Sundays", "twice a year")


def sentences(count: int, seed: int) -> list[str]:
    """`count` sentences, a function of the seed."""
    draw = random.Random(seed)
    return [f"{draw.choice(_WHO)} {draw.choice(_DID)} {draw.choice(_WHAT)} {draw.choice(_WHEN)}." for _ in range(count)]


@dataclass(frozen=True)
class Made:
    """Forty documents of twenty made-up sentences each."""

    def documents(self) -> Iterator[Document]:
        for number in range(40):
            yield Document(f"made-{number:02}", "\n".join(sentences(20, seed=number)) + "\n")


def made_pairs() -> list[Pair]:
    """Four hundred made-up sentences, each with its words in reverse."""
    return [(text, " ".join(reversed(text.split()))) for text in sentences(400, seed=0)]


SOURCES.register("made", lambda paths: Made())
