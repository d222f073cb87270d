"""Bytes, as ByT5 numbers them (Xue et al. 2022)."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from weft.data.tokenizers.table import FILE, PieceTable, utf8
from weft.files import DamagedFile, read_json, write_json

_FIRST = 3  # 0 padding, 1 the end, 2 unknown: never given
_SENTINELS = 125


class Bytes(PieceTable):
    """Byte b of UTF-8 is the id b + 3; 1 is the end; 0, 2 and the 125 sentinels from 259 on are specials.

    384 ids, those of ByT5's published tokenizer (the sentinel <extra_id_n> is 259 + n). Unlike there, text never
    becomes a special id: "</s>" is four bytes.
    """

    kind = "bytes"

    def __init__(self) -> None:
        table = [*[b""] * _FIRST, *(bytes([number]) for number in range(256)), *[b""] * _SENTINELS]
        super().__init__(table, 1, lossless=True)

    @property
    def mask(self) -> int:
        """The first sentinel: it stands for what is hidden, as in T5 (Raffel et al. 2020)."""
        return _FIRST + 256

    @property
    def sentinels(self) -> tuple[int, ...]:
        """From 259 on, in their order."""
        return tuple(range(_FIRST + 256, _FIRST + 256 + _SENTINELS))

    @classmethod
    def train(cls, texts: Iterable[str], vocab: int) -> Self:
        """Nothing is learned; ValueError where `vocab` allows fewer than 384 ids (0: no limit)."""
        needed = _FIRST + 256 + _SENTINELS
        if 0 < vocab < needed:
            raise ValueError(
                f"bytes need {needed} ids (256, {_FIRST} specials, {_SENTINELS} sentinels), vocab={vocab} allows "
                "fewer: raise it, or set it to 0"
            )
        return cls()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """There is nothing to learn from the file; DamagedFile where its ids are not these."""
        path = folder / FILE
        data = read_json(path)
        if data != _DATA:
            raise DamagedFile(f"{path} holds {str(data)[:100]}, not the numbering of bytes that is known: {_DATA}")
        return cls()

    def save(self, folder: Path) -> None:
        """Write tokenizer.json."""
        write_json(folder / FILE, _DATA)

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The bytes of each text plus 3, int32 [length]. ValueError for a lone surrogate, which has no bytes."""
        return [np.frombuffer(utf8(text), np.uint8).astype(np.int32) + _FIRST for text in texts]


_DATA = {"weft": Bytes.kind, "first": _FIRST, "sentinels": _SENTINELS}
