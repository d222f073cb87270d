"""What stands around the ids of a text or two in a row that is to be judged, and how much room that leaves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeVar

import numpy as np

from weft.batch import Tokenizer
from weft.data.labelled.where import Where
from weft.data.tokenizers import Template, template_of
from weft.data.tokenizers.template import FIRST, SECOND, Part

FoundT = TypeVar("FoundT")

_AT_ONCE = 1024  # texts encoded together


class Framed(NamedTuple):
    """A row of ids, the type of each, and where the first text's and the second's begin (0 for one that is not there).

    ids, types: int32 [T].
    """

    ids: np.ndarray
    types: np.ndarray
    first: int
    second: int


@dataclass(frozen=True)
class Frame:
    """The tokenizer's template; where it has room for none (bytes, say), text END, and text END text END."""

    template: Template
    context: int  # the most tokens of a row

    @classmethod
    def of(cls, tokenizer: Tokenizer, context: int) -> Self:
        """ValueError where not one token of a text has room beside what stands around it."""
        return cls(template_of(tokenizer) or Template.around(None, tokenizer.end).untyped(), context)

    def room(self, *, pair: bool) -> int:
        """How many tokens of one text, or of two together, a row can have. ValueError where that is none."""
        around = len(self.template.two((), ())[0] if pair else self.template.one(())[0])
        least = 2 if pair else 1
        if self.context < around + least:
            texts = "two texts" if pair else "a text"
            raise ValueError(
                f"context={self.context} has no room: {around} tokens stand around {texts}, give it {around + least} "
                "or more"
            )
        return self.context - around

    def one(self, ids: Sequence[int] | np.ndarray) -> Framed:
        """One text in its frame."""
        return _filled(self.template.single, {FIRST: ids})

    def two(self, first: Sequence[int] | np.ndarray, second: Sequence[int] | np.ndarray) -> Framed:
        """Two texts in their frame."""
        return _filled(self.template.pair, {FIRST: first, SECOND: second})


def _filled(parts: Sequence[Part], texts: Mapping[str, Sequence[int] | np.ndarray]) -> Framed:
    ids: list[np.ndarray] = [np.zeros(0, np.int32)]
    types: list[np.ndarray] = [np.zeros(0, np.int32)]
    places, length = {FIRST: 0, SECOND: 0}, 0
    for part in parts:
        these = np.asarray(texts[part.what] if isinstance(part.what, str) else part.what, np.int32)
        if isinstance(part.what, str):
            places[part.what] = length
        ids.append(these)
        types.append(np.full(len(these), part.type, np.int32))
        length += len(these)
    return Framed(np.concatenate(ids), np.concatenate(types), places[FIRST], places[SECOND])


def named(
    encode: Callable[[Sequence[str]], list[FoundT]], texts: Sequence[str], wheres: Sequence[Where]
) -> list[FoundT]:
    """What `encode` makes of the texts; where it refuses one (ValueError), the error says where that one stands."""
    encode(())  # what is wrong whatever the text is
    found = list[FoundT]()
    for start in range(0, len(texts), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        try:
            found += encode(texts[some])
        except ValueError:
            for text, where in zip(texts[some], wheres[some], strict=True):
                try:
                    encode([text])
                except ValueError as error:
                    raise ValueError(f"{where}: {error}") from error
            raise
    return found
