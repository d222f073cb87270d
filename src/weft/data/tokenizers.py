"""Tokenizers: byte-level BPE (Sennrich et al. 2016; on bytes: Radford et al. 2019), characters, bytes.

All three give back exactly the text they were given, and text never becomes the end id, not even text that spells it.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from weft.batch import Tokenizer
from weft.files import DamagedFile, read_json, write_bytes, write_json
from weft.registry import Registry

END = "<|end|>"
FILE = "tokenizer.json"

# A single line break between two characters that are no space is a piece of its own to GPT-2's pattern, so the text may
# be cut after it without changing any id: one long text is then encoded on all cores, and in bounded memory.
_CUT = re.compile(r"(?<=\S\n)(?=\S)")
_CHUNK = 1 << 16  # characters


class TokenizerKind(Protocol):
    """What is registered in TOKENIZERS: how a kind of tokenizer is made."""

    def train(self, texts: Iterable[str], vocab: int) -> Tokenizer:
        """A tokenizer of `texts` with at most `vocab` ids; 0 where the kind itself knows how many."""
        ...

    def load(self, folder: Path) -> Tokenizer:
        """The tokenizer that was saved in `folder`; DamagedFile."""
        ...


TOKENIZERS: Registry[TokenizerKind] = Registry("tokenizer", "weft.tokenizers")


def train_tokenizer(kind: str, texts: Iterable[str], vocab: int = 0) -> Tokenizer:
    """A new tokenizer of a registered kind: "bpe", "characters", "bytes". The same texts always give the same ids.

    `vocab` is the most ids it may have; characters and bytes also take 0, as many as there are.
    """
    return TOKENIZERS.get(kind).train(texts, vocab)


def load_tokenizer(folder: Path | str) -> Tokenizer:
    """The tokenizer in `folder`'s tokenizer.json, weft's own or the tokenizers library's byte-level BPE."""
    data = read_json(Path(folder) / FILE)
    kind = data.get("weft", "bpe") if isinstance(data, dict) else "bpe"
    return TOKENIZERS.get(str(kind)).load(Path(folder))


def encode_many(tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """The ids of each text as int32 [length]; at once where the tokenizer can."""
    if isinstance(tokenizer, PieceTable):
        return tokenizer.encode_many(texts)
    return [np.asarray(tokenizer.encode(text), np.int32) for text in texts]


class PieceTable:
    """What the tokenizers here share: every id stands for fixed bytes, b"" where it is special."""

    def __init__(self, table: list[bytes], end: int) -> None:
        self._table = table
        self._end = end

    @property
    def vocab(self) -> int:
        """Number of ids."""
        return len(self._table)

    @property
    def end(self) -> int:
        """The end-of-text id."""
        return self._end

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; no special ids are added."""
        return self.encode_many([text])[0].tolist()

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, int32 [length]."""
        raise NotImplementedError

    def pieces(self, ids: Sequence[int]) -> list[bytes]:
        """The bytes each id stands for; b"" for specials. ValueError for a number that is no id."""
        for place, number in enumerate(ids):
            if not 0 <= number < len(self._table):
                raise ValueError(f"{number}, at place {place}, is no id of this tokenizer: 0 to {len(self._table) - 1}")
        return [self._table[number] for number in ids]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; specials are left out, broken UTF-8 becomes U+FFFD."""
        return b"".join(self.pieces(ids)).decode("utf-8", errors="replace")


class BytePairs(PieceTable):
    """Byte-level BPE, trained and run by the tokenizers library, with GPT-2's cutting of text into words."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, end: str = END) -> None:
        """ValueError where `tokenizer` is not a byte-level BPE that leaves text as it is, or has no token `end`."""
        self._tokenizer = tokenizer
        form = tokenizer.pre_tokenizer
        if not isinstance(tokenizer.model, models.BPE) or not isinstance(form, pre_tokenizers.ByteLevel):
            raise ValueError("the tokenizer is not a byte-level BPE (model BPE, pre_tokenizer ByteLevel)")
        if tokenizer.normalizer is not None or form.add_prefix_space or not form.use_regex:
            raise ValueError("the tokenizer changes its text (normalizer, add_prefix_space) or has no use_regex")
        tokenizer.encode_special_tokens = True  # text that spells a special token is ordinary text
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        special = tokenizer.get_added_tokens_decoder()
        if not any(token.special and token.content == end for token in special.values()):
            raise ValueError(f"the tokenizer has no special token {end!r}: say which of its tokens ends a text")
        byte = {character: bytes([number]) for number, character in enumerate(_byte_characters())}
        table = [b""] * (max(vocabulary.values()) + 1)
        for token, number in vocabulary.items():
            if number not in special:
                table[number] = b"".join(byte[character] for character in token)
            elif not special[number].special:
                table[number] = token.encode()
        super().__init__(table, vocabulary[end])

    @classmethod
    def train(cls, texts: Iterable[str], vocab: int) -> Self:
        """At most `vocab` ids: the end, the 256 bytes, then merges of pairs seen at least twice."""
        if vocab < 257:
            raise ValueError(f"vocab={vocab} is too small for bpe: 256 bytes and the end make 257")
        tokenizer = tokenizers.Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab,
            min_frequency=2,
            special_tokens=[END],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The tokenizer in the tokenizers library's own format; DamagedFile where it is not a byte-level BPE."""
        path = folder / FILE
        try:
            return cls(tokenizers.Tokenizer.from_str(path.read_text("utf-8")))
        except Exception as error:  # the library raises bare Exception
            raise DamagedFile(f"{path}: {error}") from error

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, in the tokenizers library's own format."""
        write_bytes(folder / FILE, self._tokenizer.to_str(pretty=True).encode())

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, int32 [length], on all cores. ValueError for a lone surrogate, which has no bytes."""
        found: list[list[np.ndarray]] = [[] for _ in texts]
        batch: list[str] = []
        owners: list[int] = []
        waiting = 0
        for owner, text in enumerate(texts):
            _utf8(text)
            for chunk in _chunks(text):
                batch.append(chunk)
                owners.append(owner)
                waiting += len(chunk)
                if waiting > 64 * _CHUNK:
                    self._encode_batch(batch, owners, found)
                    batch, owners, waiting = [], [], 0
        self._encode_batch(batch, owners, found)
        return [np.concatenate(parts) if parts else np.zeros(0, np.int32) for parts in found]

    def _encode_batch(self, batch: list[str], owners: list[int], found: list[list[np.ndarray]]) -> None:
        encodings = self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        for owner, encoding in zip(owners, encodings, strict=True):
            found[owner].append(np.asarray(encoding.ids, np.int32))


class Characters(PieceTable):
    """One id for each character of the training text, in the order of their code points; id 0 is the end."""

    def __init__(self, characters: str) -> None:
        """`characters`: every one once, sorted."""
        self._characters = characters
        self._points = np.asarray([ord(character) for character in characters], np.uint32)
        if not characters or (np.diff(self._points.astype(np.int64)) <= 0).any():
            raise ValueError("the characters of a vocabulary are given sorted, each once, and at least one")
        super().__init__([b"", *(character.encode() for character in characters)], 0)

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
        path = folder / FILE
        data = read_json(path)
        if not isinstance(data, dict) or not isinstance(data.get("characters"), str):
            raise DamagedFile(f"{path}: a characters tokenizer has a text called 'characters'")
        try:
            return cls(data["characters"])
        except ValueError as error:
            raise DamagedFile(f"{path}: {error}") from error

    def save(self, folder: Path) -> None:
        """Write tokenizer.json."""
        write_json(folder / FILE, {"weft": "characters", "characters": self._characters})

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, int32 [length]; ValueError naming a character that has none, and its offset."""
        return [self._encode(text) for text in texts]

    def _encode(self, text: str) -> np.ndarray:
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
        places = np.searchsorted(self._points, points).clip(max=len(self._points) - 1)
        unknown = np.flatnonzero(self._points[places] != points)
        if len(unknown):
            offset = int(unknown[0])
            raise ValueError(
                f"the character {text[offset]!r} (U+{ord(text[offset]):04X}) at offset {offset} is not among the "
                f"{len(self._points)} of this vocabulary: leave it out, or train on text that has it, or use bytes"
            )
        return (places + 1).astype(np.int32)


class Bytes(PieceTable):
    """The 256 bytes of UTF-8; id 256 is the end."""

    def __init__(self) -> None:
        super().__init__([*(bytes([number]) for number in range(256)), b""], 256)

    @classmethod
    def train(cls, texts: Iterable[str], vocab: int) -> Self:
        """Nothing is learned; ValueError where `vocab` allows fewer than 257 ids (0: no limit)."""
        if 0 < vocab < 257:
            raise ValueError(f"bytes need 257 ids, vocab={vocab} allows fewer: raise it")
        return cls()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """There is nothing to read."""
        return cls()

    def save(self, folder: Path) -> None:
        """Write tokenizer.json."""
        write_json(folder / FILE, {"weft": "bytes"})

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The bytes of each text, int32 [length]. ValueError for a lone surrogate, which has no bytes."""
        return [np.frombuffer(_utf8(text), np.uint8).astype(np.int32) for text in texts]


TOKENIZERS.register("bpe", BytePairs)
TOKENIZERS.register("characters", Characters)
TOKENIZERS.register("bytes", Bytes)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the text has a lone surrogate, {text[error.start]!r}, at offset {error.start}") from error


def _chunks(text: str) -> Iterable[str]:
    """`text` in parts of about _CHUNK characters, cut only where no id changes."""
    start = 0
    while len(text) - start > _CHUNK:
        cut = _CUT.search(text, start + _CHUNK)
        if cut is None:
            break
        yield text[start : cut.end()]
        start = cut.end()
    yield text[start:]


def _byte_characters() -> list[str]:
    """GPT-2's printable character for each of the 256 bytes."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(number if number in printable else next(others)) for number in range(256)]
