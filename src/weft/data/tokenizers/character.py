"""One id for each character."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from weft.batch import Unfit
from weft.data.tokenizers.table import FILE, PieceTable, read_own, utf8
from weft.files import write_json


class Characters(PieceTable):
    """One id for each character of the training text, in the order of their code points; id 0 is the end.

    Lossless: a character that it has no id for is refused.
    """

    kind = "characters"

    def __init__(self, characters: str) -> None:
        """`characters`: every one once, sorted; ValueError where they are not."""
        if not isinstance(characters, str):
            raise ValueError(f"the characters of a vocabulary are a text, not a {type(characters).__name__}")
        self._characters = characters
        self._points = np.asarray([ord(character) for character in characters], np.uint32)
        if not characters or (np.diff(self._points.astype(np.int64)) <= 0).any():
            raise ValueError("the characters of a vocabulary are given sorted, each once, and at least one")
        utf8(characters)
        super().__init__([b"", *(character.encode() for character in characters)], 0, lossless=True)

    @classmethod
    def train(cls, texts: Iterable[str], vocab: int) -> Self:
        """The characters of `texts`; ValueError where they are more than `vocab` allows (0: no limit)."""
        seen: set[str] = set()
        for text in texts:
            seen.update(text)
        if not seen:
            raise ValueError("there is no text to take characters from")
        if 0 < vocab < len(seen) + 1:
            needed = len(seen) + 1
            raise ValueError(f"the text needs {needed} ids, vocab={vocab} allows fewer: raise it, or use bpe or bytes")
        return cls("".join(sorted(seen)))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote; DamagedFile."""
        return read_own(folder, "characters", cls)

    def save(self, folder: Path) -> None:
        """Write tokenizer.json."""
        write_json(folder / FILE, {"weft": self.kind, "characters": self._characters})

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, int32 [length]; Unfit, naming a character that has none, and its offset."""
        return [self._encode(text) for text in texts]

    def _encode(self, text: str) -> np.ndarray:
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
        places = np.searchsorted(self._points, points).clip(max=len(self._points) - 1)
        unknown = np.flatnonzero(self._points[places] != points)
        if len(unknown):
            offset = int(unknown[0])
            raise Unfit(
                f"the character {text[offset]!r} (U+{ord(text[offset]):04X}) at offset {offset} is not among the "
                f"{len(self._points)} of this vocabulary: leave it out, or train on text that has it, or use bytes"
            )
        return (places + 1).astype(np.int32)
