"""Two SentencePiece models and a table of ids, or two: tokenizers of translation models, as Marian's are published."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import copy
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import numpy as np

from weft.data.tokenizers.folder import SOURCE, TABLE, TARGET, TARGET_TABLE
from weft.data.tokenizers.specials import CONFIG, Specials, read_said
from weft.data.tokenizers.spm import SPACE, read_spm, translated
from weft.data.tokenizers.table import UNKNOWN, PieceTable, utf8
from weft.data.tokenizers.template import Template
from weft.data.tokenizers.unigram import Unigrams
from weft.files import DamagedFile, read_json, write_bytes

_END, _UNKNOWN, _PADDING = "</s>", "<unk>", "<pad>"


class Translation(PieceTable):
    """Texts of one language become ids, ids become texts of another; `target` makes ids of the other's texts. The end
    is </s>, which follows every text. words: the tokens of languages.

    What a table lacks is the unknown. A text may begin with the token of a language, ">>fra<<", where a model has
    several. Lossy, as SentencePiece is. The punctuation of Marian's texts was made plain by Moses's script: so it is
    here where the package sacremoses is installed, as in the reference; without it text is left as it is.
    """

    kind = "translation"

    def __init__(self, encoding: Side, decoding: dict[str, int], files: dict[str, bytes]) -> None:
        """files: what `save` writes."""
        names = {number: name for name, number in decoding.items()}
        unknown, special = decoding[_UNKNOWN], {_END, _PADDING, "<s>"}

        def spelt(number: int) -> bytes:
            name = names.get(number, "")
            if number == unknown:
                return f" {UNKNOWN}".encode()
            language = name.startswith(">>") and name.endswith("<<")
            return b"" if name in special or language else utf8(name.replace(SPACE, " "))

        most = max(*names, *encoding.table.values())
        table = [spelt(number) for number in range(most + 1)]
        first = {number: piece[1:] for number, piece in enumerate(table) if piece.startswith(b" ")}
        super().__init__(table, decoding[_END], lossless=False, first=first)
        self._last = {number: piece.rstrip(b" ") for number, piece in enumerate(table) if piece.endswith(b" ")}
        self.encoding, self._files = encoding, files
        self._target: Translation | None = None  # None: it is the target side itself
        self._names = {name: number for name, number in decoding.items() if name in special}
        self.words = tuple(name for name in encoding.table if name.startswith(">>") and name.endswith("<<"))
        self.template = Template.around(None, self._end).untyped()
        self.specials = Specials(end=self._end, padding=decoding.get(_PADDING), unknown=unknown)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The tokenizer of a folder. DamagedFile where its files do not fit."""
        said = read_said(folder).config
        table = _table(folder / TABLE)
        apart = bool(said.get("separate_vocabs", False))
        decoding = _table(folder / TARGET_TABLE) if apart else table
        names = (SOURCE, TARGET, TABLE, *((TARGET_TABLE,) if apart else ()), CONFIG)
        files = {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
        found = cls(Side(folder / SOURCE, table, said.get("source_lang")), decoding, files)
        found._target = copy(found)
        found._target.encoding = Side(folder / TARGET, decoding, said.get("target_lang"))
        return found

    @property
    def target(self) -> Translation:
        """The same with texts of the target language becoming ids."""
        return self if self._target is None else self._target

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        return self.encoding.encode_many(texts)

    def save(self, folder: Path) -> None:
        """Write the files as they were read."""
        for name, data in self._files.items():
            write_bytes(folder / name, data)


class Side:
    """A SentencePiece model whose pieces are numbered by a table."""

    def __init__(self, path: Path, table: dict[str, int], language: str | None) -> None:
        """DamagedFile where the model is none."""
        self.table, self._plain = table, _moses(language)
        data = translated(read_spm(path))
        try:
            self._inner = Unigrams(json.dumps(data), data["added_tokens"][0]["content"])
        except ValueError as error:
            raise DamagedFile(f"{path}: {error}") from error
        pieces = [name for name, _ in data["model"]["vocab"]]
        self._numbers = np.asarray([table.get(name, table[_UNKNOWN]) for name in pieces], np.int32)

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, int32 [length]."""
        split = [_language(text) for text in texts]
        found = self._inner.encode_many([self._plain(text) for _, text in split])
        codes = [[self.table.get(code, self.table[_UNKNOWN])] if code else [] for code, _ in split]
        return [
            np.concatenate((np.asarray(code, np.int32), self._numbers[ids]))
            for code, ids in zip(codes, found, strict=True)
        ]


def _language(text: str) -> tuple[str, str]:
    """The token of a language that a text begins with, and the rest."""
    place = text.find("<<") if text.startswith(">>") else -1
    return (text[: place + 2], text[place + 2 :]) if place != -1 else ("", text)


def _moses(language: str | None) -> Callable[[str], str]:
    """What makes punctuation plain, where sacremoses is installed."""
    if find_spec("sacremoses") is None:
        return lambda text: text
    normal = import_module("sacremoses").MosesPunctNormalizer(language or "en").normalize
    return lambda text: normal(text) if text else ""


def _table(path: Path) -> dict[str, int]:
    """Ids by piece. DamagedFile where it is no such table."""
    told = read_json(path)
    if not isinstance(told, dict) or not all(type(number) is int and number >= 0 for number in told.values()):
        raise DamagedFile(f"{path} holds no object of ids by piece")
    lacking = [name for name in (_END, _UNKNOWN) if name not in told]
    if lacking:
        raise DamagedFile(f"{path} lacks {lacking[0]}: what is unknown, or ends a text, needs an id")
    if len(set(told.values())) < len(told):
        raise DamagedFile(f"{path} gives one id to two pieces")
    return told
