"""Tagged words as rows of token ids, and predictions for tokens back as one for each word."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from weft.batch import IGNORED, Tokenizer
from weft.data.labelled.conll import Sentence
from weft.data.labelled.frame import Frame, named
from weft.data.labelled.labels import Labels
from weft.data.labelled.schemes import BEGIN, INSIDE
from weft.data.labelled.where import Where
from weft.data.sources import Say, quiet
from weft.data.tokenizers import Located, PieceTable, locate_many


@dataclass(frozen=True, eq=False)
class TagRow:
    """Words word .. word + W - 1 of a sentence as T <= context tokens.

    sentence: its number. ids, types: int32 [T]. labels: int32 [T], the class of each token, IGNORED where none is asked
    for. places: int32 [W], the first token of each word, from which its tag is read.
    """

    sentence: int
    word: int
    ids: np.ndarray
    types: np.ndarray
    labels: np.ndarray
    places: np.ndarray


@dataclass(frozen=True, eq=False)
class TagRows:
    """Rows in the order of the sentences; each word is in exactly one.

    divided: sentences in more than one row. cut: words of more pieces than a row has room for, of which the first were
    kept. unknown: words without a piece of their own, for which the unknown token stands.
    """

    rows: list[TagRow]
    divided: int
    cut: int
    unknown: int

    def by_word(self, numbers: Sequence[Sequence[int] | np.ndarray]) -> list[list[int]]:
        """What was predicted for each token of each row [rows][T], as what is predicted for each word of each sentence:
        that of its first token. ValueError where a row has another length."""
        found: list[list[int]] = [[] for _ in range(1 + max((row.sentence for row in self.rows), default=-1))]
        for row, these in zip(self.rows, numbers, strict=True):
            if len(these) < len(row.ids):
                raise ValueError(f"{len(these)} predictions for a row of {len(row.ids)} tokens: one for each")
            found[row.sentence] += [int(these[place]) for place in row.places]
        return found


class _Word(NamedTuple):
    pieces: list[int]
    labels: list[int]


class _Known:
    """The labels of a tag's first piece and of the others, looked up once for each tag."""

    def __init__(self, labels: Labels | None, every_piece: bool) -> None:
        self._labels, self._every_piece = labels, every_piece
        self._found: dict[str, tuple[int, int]] = {}

    def word(self, sentence: Sentence, place: int, pieces: list[int]) -> _Word:
        """The pieces of a word with their labels. ValueError naming its line for a label that is not known."""
        if self._labels is None:
            return _Word(pieces, [IGNORED] * len(pieces))
        tag = sentence.tags[place]
        if tag not in self._found:
            self._found[tag] = self._numbers(self._labels, tag, sentence.at(place))
        first, following = self._found[tag]
        return _Word(pieces, [first, *[following] * (len(pieces) - 1)])

    def _numbers(self, labels: Labels, tag: str, where: Where) -> tuple[int, int]:
        first = labels.number(tag, where)
        inside = INSIDE + tag[len(BEGIN) :]
        if not self._every_piece:
            return first, IGNORED
        if tag.startswith(f"{BEGIN}-") and inside in labels.names:
            return first, labels.names.index(inside)
        return first, first


def encode_tags(
    sentences: Sequence[Sentence],
    labels: Labels | None,
    tokenizer: Tokenizer,
    context: int,
    *,
    every_piece: bool = False,
    say: Say = quiet,
) -> TagRows:
    """The ids of each sentence, its words joined by spaces, as the tokenizer reads running text, with what its template
    puts around it; each token belongs to the word in which it begins, a space to the word after it.

    A word's label stands at its first piece; the others are IGNORED, or, with every_piece, have the label too (I-type
    after B-type, where there is such a label). labels=None: all are IGNORED, to predict only. A word without a piece of
    its own (characters that normalising drops) becomes the unknown token. A sentence longer than `context` is divided
    between words into rows that are as full as can be; a word that is itself too long keeps its first pieces. `say` is
    told how many of each.

    ValueError naming file and line for a label that is not known, a word that the tokenizer cannot spell, or one
    without a piece where there is no unknown token. The first word of a sentence has no space before it, unless the
    tokenizer itself puts one there; the reference wants that of a byte-level BPE for words (add_prefix_space).
    """
    frame, room = Frame.of(tokenizer, context), Frame.of(tokenizer, context).room(pair=False)
    texts = [" ".join(sentence.words) for sentence in sentences]
    located = named(partial(locate_many, tokenizer), texts, [sentence.where for sentence in sentences])
    unknown = tokenizer.specials.unknown if isinstance(tokenizer, PieceTable) else None
    known = _Known(labels, every_piece)
    rows, divided, cut, lost = list[TagRow](), 0, 0, 0
    for number, (sentence, found) in enumerate(zip(sentences, located, strict=True)):
        pieces = _by_word(sentence, found)
        lost += sum(not these for these in pieces)
        cut += sum(len(these) > room for these in pieces)
        words = [
            known.word(sentence, place, (these or _unknown(sentence, place, unknown))[:room])
            for place, these in enumerate(pieces)
        ]
        cuts = _cuts([len(word.pieces) for word in words], room)
        divided += len(cuts) > 2
        rows += [_row(number, start, words[start:stop], frame) for start, stop in pairwise(cuts)]
    if divided:
        say(f"{divided:,} of {len(sentences):,} sentences are longer than context={context} tokens and were divided")
    if cut:
        say(f"{cut:,} words are longer than context={context} tokens: their first pieces were kept")
    if lost:
        say(f"{lost:,} words have no piece of their own: the unknown token stands for each")
    return TagRows(rows, divided, cut, lost)


def _by_word(sentence: Sentence, found: Located) -> list[list[int]]:
    """The pieces of each word."""
    ends = np.cumsum([len(word) + 1 for word in sentence.words]) - 1  # [W] behind each word
    owners = np.searchsorted(ends, found.offsets[:, 0], side="right").clip(max=len(ends) - 1)  # [T]
    pieces: list[list[int]] = [[] for _ in sentence.words]
    for owner, piece in zip(np.maximum.accumulate(owners), found.ids.tolist(), strict=True):
        pieces[owner].append(piece)
    return pieces


def _unknown(sentence: Sentence, place: int, unknown: int | None) -> list[int]:
    if unknown is None:
        raise ValueError(
            f"{sentence.at(place)}: the word {sentence.words[place]!r} has no token of its own, and this tokenizer no "
            "unknown token to stand for it: take the word out, or use another tokenizer"
        )
    return [unknown]


def _cuts(lengths: Sequence[int], room: int) -> list[int]:
    """Where rows begin, and behind the last: each takes as many words as have room."""
    cuts, filled = [0], 0
    for place, length in enumerate(lengths):
        if filled + length > room:
            cuts.append(place)
            filled = 0
        filled += length
    return [*cuts, len(lengths)]


def _row(sentence: int, word: int, words: Sequence[_Word], frame: Frame) -> TagRow:
    framed = frame.one([piece for word in words for piece in word.pieces])
    told = np.asarray([label for word in words for label in word.labels], np.int32)
    labels = np.full(len(framed.ids), IGNORED, np.int32)  # [T]
    labels[framed.first : framed.first + len(told)] = told
    places = framed.first + np.cumsum([0, *(len(word.pieces) for word in words[:-1])])  # [W]
    return TagRow(sentence, word, framed.ids, framed.types, labels, places.astype(np.int32))
