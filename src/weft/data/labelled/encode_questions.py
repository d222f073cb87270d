"""Questions with windows of their contexts as rows of token ids, and spans of tokens back as text."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from weft.batch import Tokenizer
from weft.data.labelled.frame import Frame, named
from weft.data.labelled.squad import Answer, Question
from weft.data.sources import Say, quiet
from weft.data.tokenizers import Located, encode_many, locate_many

NO_ANSWER = 0  # the place that is named where the window has no answer: [CLS], or the question's first token


@dataclass(frozen=True, eq=False)
class Window:
    """A question with a part of its context, as T <= context tokens.

    question: its number. ids, types: int32 [T]. first, count: the context's tokens are first .. first + count - 1.
    offsets: int32 [T, 2], the characters of the context that each of these stands for, without spaces at its ends; 0, 0
    elsewhere. start, stop: the places of the answer's first and last token; both NO_ANSWER where it is not whole here.
    """

    question: int
    context: str
    ids: np.ndarray
    types: np.ndarray
    first: int
    count: int
    offsets: np.ndarray
    start: int
    stop: int

    def span(self, start: int, stop: int) -> tuple[int, int] | None:
        """The characters first .. behind the last of the context for which the tokens start .. stop stand; None for the
        place that means no answer. ValueError for places that are no span of the context."""
        if start == stop == NO_ANSWER:
            return None
        if not self.first <= start <= stop < self.first + self.count:
            raise ValueError(
                f"places {start} to {stop} are no span of the context, which has {self.first} to "
                f"{self.first + self.count - 1}"
            )
        return int(self.offsets[start, 0]), int(self.offsets[stop, 1])

    def text(self, start: int, stop: int) -> str:
        """The text of these tokens as it stands in the context; "" for no answer."""
        span = self.span(start, stop)
        return "" if span is None else self.context[slice(*span)]


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows in the order of the questions, at least one for each.

    cut: questions that were cut. unseen: numbers of those whose (first) answer is whole in no window, or has no token
    of its own, so that all their windows say that there is none. inexact: numbers of those whose (first) answer does
    not come back exactly, since its tokens stand for more, or less, than it.
    """

    windows: list[Window]
    cut: int
    unseen: tuple[int, ...]
    inexact: tuple[int, ...]


def encode_questions(
    questions: Sequence[Question],
    tokenizer: Tokenizer,
    *,
    context: int = 384,
    stride: int = 128,
    longest: int = 64,
    cut: bool = True,
    say: Say = quiet,
) -> Windows:
    """Rows of `context` tokens: the question, and as much of its context as has room, in the tokenizer's template for
    two texts ([CLS] question [SEP] context [SEP]).

    Each window begins `stride` tokens of the context behind the one before (run_squad's doc_stride: Devlin et al. 2019;
    not the overlap), or right behind it where less has room, and the last ends with the context: every token of it is
    in a window. A question is cut to its first `longest` tokens; with cut=False a longer one is an error. The answer is
    the first of those given. `say` is told how many were cut, or cannot come back.

    ValueError naming file and question: one that is too long, or that the tokenizer cannot spell; for a context too
    small, and for a tokenizer that does not say where its tokens stand.
    """
    frame = Frame.of(tokenizer, context)
    room = frame.room(pair=True)
    if min(stride, longest) < 1 or longest >= room:
        raise ValueError(
            f"stride={stride} and longest={longest} must be 1 or more, and longest less than {room}, the tokens that "
            f"have room in context={context}"
        )
    wheres = [question.where for question in questions]
    asked = named(partial(encode_many, tokenizer), [question.question for question in questions], wheres)
    first = {question.context: question.where for question in reversed(questions)}
    located = named(partial(locate_many, tokenizer), list(first), list(first.values()))
    contexts = {text: Located(found.ids, trim(text, found.offsets)) for text, found in zip(first, located, strict=True)}
    windows, unseen, inexact, shortened = list[Window](), list[int](), list[int](), 0
    for number, (question, ids) in enumerate(zip(questions, asked, strict=True)):
        if len(ids) > longest:
            if not cut:
                raise ValueError(f"{question.where}: the question has {len(ids)} tokens, more than longest={longest}")
            shortened += 1
        found = contexts[question.context]
        span = None if question.impossible else answer_tokens(question.answers[0], found.offsets)
        these = _windows(number, question, ids[:longest], found, span, frame, stride)
        windows += these
        if question.impossible:
            continue
        texts = [window.text(window.start, window.stop) for window in these if window.start != NO_ANSWER]
        if not texts:
            unseen.append(number)
        elif texts[0] != question.answers[0].text:
            inexact.append(number)
    if shortened:
        say(f"{shortened:,} of {len(questions):,} questions are longer than {longest} tokens and were cut")
    _tell(say, sum(not question.impossible for question in questions), len(unseen), len(inexact))
    return Windows(windows, shortened, tuple(unseen), tuple(inexact))


def trim(text: str, offsets: np.ndarray) -> np.ndarray:
    """Offsets [T, 2] without the spaces at the ends of each; of nothing but spaces, nothing is left (start = stop)."""
    solid = np.flatnonzero([not character.isspace() for character in text])  # [characters that are no space]
    if len(solid) == 0:
        return offsets[:, [0, 0]]
    starts = solid[np.searchsorted(solid, offsets[:, 0]).clip(max=len(solid) - 1)]  # [T]
    stops = solid[(np.searchsorted(solid, offsets[:, 1]) - 1).clip(min=0)] + 1  # [T]
    kept = (offsets[:, 0] <= starts) & (starts < stops) & (stops <= offsets[:, 1])
    return np.where(kept[:, None], np.stack([starts, stops], axis=1), offsets[:, [0, 0]]).astype(np.int32)  # [T, 2]


def answer_tokens(answer: Answer, offsets: np.ndarray) -> tuple[int, int] | None:
    """The first and the last of the context's tokens that stand for any of the answer's characters; None where none
    does. offsets: [T, 2]."""
    starts, stops = offsets[:, 0], offsets[:, 1]
    inside = np.flatnonzero((starts < stops) & (starts < answer.start + len(answer.text)) & (stops > answer.start))
    return (int(inside[0]), int(inside[-1])) if len(inside) else None


def _windows(
    number: int,
    question: Question,
    ids: np.ndarray,
    found: Located,
    span: tuple[int, int] | None,
    frame: Frame,
    stride: int,
) -> list[Window]:
    room, length = frame.room(pair=True) - len(ids), len(found.ids)
    windows, begin = list[Window](), 0
    while True:
        end = min(begin + room, length)
        framed = frame.two(ids, found.ids[begin:end])
        offsets = np.zeros((len(framed.ids), 2), np.int32)  # [T, 2]
        offsets[framed.second : framed.second + end - begin] = found.offsets[begin:end]
        start = stop = NO_ANSWER
        if span is not None and begin <= span[0] and span[1] < end:
            start, stop = (framed.second + place - begin for place in span)
        windows.append(
            Window(number, question.context, framed.ids, framed.types, framed.second, end - begin, offsets, start, stop)
        )
        if end == length:
            return windows
        begin += min(stride, room)


def _tell(say: Say, answers: int, unseen: int, inexact: int) -> None:
    if unseen:
        say(f"{unseen:,} of {answers:,} answers are whole in no window, or have no token: none is learned there")
    if inexact:
        say(f"{inexact:,} of {answers:,} answers cannot come back exactly: their tokens stand for more or less text")
