"""Text made here, so that a run can be tried where there is no data: a small world with something to learn."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from weft.data.pairs import PAIR_SOURCES, Pair
from weft.data.sources import SOURCES, Document

T = TypeVar("T")

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


def _without_paths(name: str, make: Callable[[], T]) -> Callable[[tuple[str, ...]], T]:
    """What is registered as `name`: takes paths as any source does, and has no use for them."""

    def made(paths: tuple[str, ...]) -> T:
        if paths:
            raise ValueError(
                f"the source {name!r} makes its own text and reads no paths, and was given {', '.join(paths)}: leave "
                "out --data, or choose another data.source"
            )
        return make()

    return made


SOURCES.register("made", _without_paths("made", Made))
PAIR_SOURCES.register("made_pairs", _without_paths("made_pairs", made_pairs))
