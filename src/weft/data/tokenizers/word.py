"""Words: the oldest vocabulary, with the oldest trouble, words it has never seen."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from weft.data.tokenizers.offsets import Located
from weft.data.tokenizers.table import FILE, UNKNOWN, PieceTable, read_own, utf8
from weft.files import write_json

_WORD = re.compile(r"\w+|[^\w\s]")
_SPECIALS = 2  # 0 the end, 1 unknown


class Words(PieceTable):
    r"""Each run of letters, digits and underscores is a word, and so is every other character that is no whitespace.

    The rule is the regular expression `\w+|[^\w\s]` over Unicode: "don't stop" is don ' t stop. Id 0 is <end>, 1 is
    <unk>, then the words of the training text, the most frequent first (equally frequent: in the order of their code
    points).

    Lossy. Whitespace is dropped, and decoding puts one space between words ("a , b"); a word that is not in the
    vocabulary becomes <unk>, which is decoded as U+FFFD. Text never becomes <end>: "<end>" is three words.
    """

    kind = "word"

    def __init__(self, words: Sequence[str]) -> None:
        """`words`: each once, the most frequent first; ValueError for what the rule does not leave whole."""
        if isinstance(words, str) or not isinstance(words, Sequence) or not all(isinstance(w, str) for w in words):
            raise ValueError("the words of a vocabulary are a list of texts")
        self._words = list(words)
        self._ids = {word: number for number, word in enumerate(words, _SPECIALS)}
        if not words or len(self._ids) < len(words):
            raise ValueError("the words of a vocabulary are given each once, and at least one")
        strange = next((word for word in words if not _WORD.fullmatch(word)), None)
        if strange is not None:
            raise ValueError(f"{strange!r} is no single word: letters, digits and underscores, or one other character")
        table = [b"", f" {UNKNOWN}".encode(), *(b" " + utf8(word) for word in words)]
        first = {number: piece.removeprefix(b" ") for number, piece in enumerate(table)}
        super().__init__(table, 0, lossless=False, first=first)

    @classmethod
    def train(cls, texts: Iterable[str], vocab: int) -> Self:
        """The `vocab` - 2 most frequent words of `texts` (0: all of them). ValueError where there is none."""
        if 0 < vocab <= _SPECIALS:
            raise ValueError(f"vocab={vocab} leaves no word beside <end> and <unk>: 3 or more, or 0 for all")
        counts: Counter[str] = Counter()
        for text in texts:
            utf8(text)
            counts.update(_WORD.findall(text))
        if not counts:
            raise ValueError("there is no text to take words from")
        words = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(words[: vocab - _SPECIALS] if vocab else words)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote; DamagedFile."""
        return read_own(folder, "words", cls)

    def save(self, folder: Path) -> None:
        """Write tokenizer.json."""
        write_json(folder / FILE, {"weft": self.kind, "words": self._words})

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, int32 [length]. ValueError for a lone surrogate."""
        return [self._encode(text) for text in texts]

    def locate_many(self, texts: Sequence[str]) -> list[Located]:
        """The ids of each text and where its words stand."""
        spans = [[word.span() for word in _WORD.finditer(text)] for text in texts]
        found = zip(self.encode_many(texts), spans, strict=True)
        return [Located(ids, np.asarray(span, np.int32).reshape(-1, 2)) for ids, span in found]

    def _encode(self, text: str) -> np.ndarray:
        utf8(text)
        return np.asarray([self._ids.get(word, 1) for word in _WORD.findall(text)], np.int32)
