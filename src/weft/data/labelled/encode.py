"""Labelled texts, and pairs of them, as rows of token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

import numpy as np

from weft.batch import Tokenizer
from weft.data.labelled.frame import Frame, named
from weft.data.labelled.labels import Labels
from weft.data.labelled.rows import Choice, Classified, Scored
from weft.data.labelled.where import Where
from weft.data.sources import Say, quiet
from weft.data.tokenizers import encode_many

LabelT = TypeVar("LabelT", covariant=True)


class Paired(Protocol):
    """A text or two, and where they stand."""

    @property
    def where(self) -> Where: ...

    @property
    def text(self) -> str: ...

    @property
    def second(self) -> str | None: ...


@dataclass(frozen=True, eq=False)
class Row(Generic[LabelT]):
    """A text or two as T <= context tokens. ids, types: int32 [T]; label: a class's number, a score, or None."""

    where: Where
    ids: np.ndarray
    types: np.ndarray
    label: LabelT


@dataclass(frozen=True, eq=False)
class ChoiceRow:
    """The rows of a text with each of its choices; `choices[label]` is the right one."""

    where: Where
    choices: tuple[Row[None], ...]
    label: int


@dataclass(frozen=True, eq=False)
class Rows(Generic[LabelT]):
    """Rows in the order of what they were made of, and how many of them were cut."""

    rows: list[Row[LabelT]]
    cut: int


def encode_texts(
    rows: Sequence[Paired], tokenizer: Tokenizer, context: int, *, cut: bool = True, say: Say = quiet
) -> Rows[None]:
    """Each text, or pair, with what the tokenizer's template puts around it ([CLS] a [SEP] b [SEP] and the like, with
    the types of that template); without a template as text END, and text END text END.

    What is longer than `context` tokens with all that is cut at its end, of a pair the longer text first, until both
    are as long, as the tokenizers library does ("longest_first"); `say` is told how many. With cut=False it is an
    error. ValueError naming file and line for that, and for a text that the tokenizer cannot spell.
    """
    return _encode(rows, [None] * len(rows), tokenizer, context, cut, say)


def encode_classified(
    rows: Sequence[Classified],
    labels: Labels,
    tokenizer: Tokenizer,
    context: int,
    *,
    cut: bool = True,
    say: Say = quiet,
) -> Rows[int]:
    """`encode_texts` with the number of each one's class; ValueError naming file and line where that is not known."""
    numbers = [labels.number(row.label, row.where) for row in rows]
    return _encode(rows, numbers, tokenizer, context, cut, say)


def encode_scored(
    rows: Sequence[Scored], tokenizer: Tokenizer, context: int, *, cut: bool = True, say: Say = quiet
) -> Rows[float]:
    """`encode_texts` with the score of each."""
    return _encode(rows, [row.score for row in rows], tokenizer, context, cut, say)


def encode_choices(
    rows: Sequence[Choice], tokenizer: Tokenizer, context: int, *, cut: bool = True, say: Say = quiet
) -> list[ChoiceRow]:
    """`encode_texts` of the pairs of each text and its choices."""
    pairs = [Classified(row.where, row.text, choice, "") for row in rows for choice in row.choices]
    encoded = iter(encode_texts(pairs, tokenizer, context, cut=cut, say=say).rows)
    return [ChoiceRow(row.where, tuple(next(encoded) for _ in row.choices), row.right) for row in rows]


LabelledT = TypeVar("LabelledT")


def _encode(
    rows: Sequence[Paired], labels: Sequence[LabelledT], tokenizer: Tokenizer, context: int, cut: bool, say: Say
) -> Rows[LabelledT]:
    frame, encode = Frame.of(tokenizer, context), partial(encode_many, tokenizer)
    pairs = [row for row in rows if row.second is not None]
    firsts = named(encode, [row.text for row in rows], [row.where for row in rows])
    seconds = iter(named(encode, [row.second or "" for row in pairs], [row.where for row in pairs]))
    found, shortened = list[Row[LabelledT]](), 0
    for row, first, label in zip(rows, firsts, labels, strict=True):
        second = None if row.second is None else next(seconds)
        room = frame.room(pair=second is not None)
        length = len(first) + (0 if second is None else len(second))
        if length > room:
            if not cut:
                raise ValueError(
                    f"{row.where}: {length} tokens, and {room} have room in context={context}: shorten the text, raise "
                    "the context, or allow it to be cut"
                )
            shortened += 1
        if second is None:
            framed = frame.one(first[:room])
        else:
            left, right = shares(len(first), len(second), room)
            framed = frame.two(first[:left], second[:right])
        found.append(Row(row.where, framed.ids, framed.types, label))
    if shortened:
        say(f"{shortened:,} of {len(rows):,} rows are longer than context={context} tokens and were cut at their ends")
    return Rows(found, shortened)


def shares(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of two texts are kept: all, or as much of the longer as leaves it no shorter than the other, and
    of both half each where that does not suffice (of an odd room, the shorter gets one less; of equals, the first)."""
    if first + second <= room:
        return first, second
    short = min(first, second, room // 2)
    return (short, room - short) if first <= second else (room - short, short)
