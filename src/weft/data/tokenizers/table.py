"""What all tokenizers share: a table of the bytes that each id stands for."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from weft.data.tokenizers.offsets import Located, by_pieces
from weft.data.tokenizers.specials import Specials
from weft.data.tokenizers.template import Template
from weft.files import DamagedFile, read_json
from weft.registry import suggest

FILE = "tokenizer.json"
MOST_IDS = 10_000_000  # the tokenizers library sets room aside for all that are asked for, and aborts where it cannot
UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # what an unknown word or character is decoded to: a loss that shows


MadeT = TypeVar("MadeT")


class PieceTable(ABC):
    """Every id stands for fixed bytes, b"" where it is special.

    kind: the name it is registered under. lossless: `decode(encode(text)) == text` for every text it encodes.
    specials: the ids that play a part. template: what a published model expects around the ids of a text; None where
    nothing says so: then a document is begun by the end id and ended by it.
    """

    kind: ClassVar[str] = ""
    template: Template | None = None

    def __init__(
        self, table: list[bytes], end: int, *, lossless: bool, first: Mapping[int, bytes] | None = None
    ) -> None:
        """`first`: ids that stand for other bytes where a text begins: words are joined by the space they begin with,
        which the first has to lose."""
        self._table = table
        self._end = end
        self._lossless = lossless
        self._first = first or {}
        self._last: Mapping[int, bytes] = {}  # the same where a text ends
        self._names: Mapping[str, int] = {}
        self.specials = Specials(end=end)

    @property
    def vocab(self) -> int:
        """Number of ids."""
        return len(self._table)

    @property
    def end(self) -> int:
        """The end-of-text id."""
        return self._end

    @property
    def begin(self) -> int:
        """The id that begins a document: what the template puts right before a text, else the end id."""
        before = self.template.before([]) if self.template else []
        return before[-1] if before else self._end

    @property
    def mask(self) -> int | None:
        """The id of a token that is hidden; None where it has none."""
        return None

    @property
    def lossless(self) -> bool:
        """Whether every text it encodes comes back exactly."""
        return self._lossless

    def special(self, name: str) -> int:
        """The id of the special token of that name, which no text is encoded to; ValueError where there is none."""
        if name not in self._names:
            raise ValueError(f"no special token is called {name!r}; {suggest(name, self._names)}")
        return self._names[name]

    @property
    def special_names(self) -> Mapping[str, int]:
        """What its special tokens are called -> their ids."""
        return self._names

    @property
    def role_tokens(self) -> Mapping[str, str]:
        """bos_token and its like, as published files name them -> the special token that plays this part."""
        return {}

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; no special ids are added. ValueError for text that has none."""
        return self.encode_many([text])[0].tolist()

    def encode_parts(self, parts: Sequence[str | int]) -> list[int]:
        """The ids of a text in which special ids stand already: texts and ids, in their order."""
        return [number for part in parts for number in (self.encode(part) if isinstance(part, str) else [part])]

    @abstractmethod
    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, int32 [length]."""

    def locate_many(self, texts: Sequence[str]) -> list[Located]:
        """The ids of each text, and which characters of it each id stands for. ValueError where nobody knows: the text
        does not come back from the ids, and what made them does not say."""
        if not self._lossless:
            raise ValueError(
                f"a tokenizer of the kind {self.kind!r} does not say where its tokens stand in a text: use another kind"
            )
        found = self.encode_many(texts)
        return [
            Located(ids, by_pieces(text, self.pieces(ids.tolist()))) for text, ids in zip(texts, found, strict=True)
        ]

    def pieces(self, ids: Sequence[int]) -> list[bytes]:
        """The bytes each id stands for; b"" for specials. ValueError for a number that is no id.

        Joined, they are the bytes of `decode`. Where words are joined by spaces, only the first and the last piece that
        is not special depend on their place: there is no space before or after it.
        """
        for place, number in enumerate(ids):
            if not 0 <= number < len(self._table):
                raise ValueError(f"{number}, at place {place}, is no id of this tokenizer: 0 to {len(self._table) - 1}")
        found = [self._table[number] for number in ids]
        if self._first or self._last:
            there = [place for place, piece in enumerate(found) if piece]
            for place, other in zip(there[:1] + there[-1:], (self._first, self._last), strict=False):
                found[place] = other.get(ids[place], found[place])
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; specials are left out, broken UTF-8 becomes U+FFFD."""
        return b"".join(self.pieces(ids)).decode("utf-8", errors="replace")


def utf8(text: str) -> bytes:
    """The bytes of `text`; ValueError for a lone surrogate, which has none."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the text has a lone surrogate, {text[error.start]!r}, at offset {error.start}") from error


def read_own(folder: Path, name: str, make: Callable[[Any], MadeT]) -> MadeT:
    """What `make` makes of the entry `name` in `folder`'s tokenizer.json; DamagedFile where there is none, or it is
    refused (ValueError)."""
    path = folder / FILE
    data = read_json(path)
    if not isinstance(data, dict) or name not in data:
        raise DamagedFile(f"{path} has no entry {name!r}")
    try:
        return make(data[name])
    except ValueError as error:
        raise DamagedFile(f"{path}: {error}") from error


def repeatable(texts: Iterable[str]) -> Iterable[str]:
    """`texts`, to be gone through more than once; what can be only once is held in memory."""
    return list(texts) if isinstance(texts, Iterator) else texts
