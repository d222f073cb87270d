"""What is trained on and what is held out: decided by content, so that no text is on both sides.

In two passes, so that no text is kept: `survey` looks at every document, `decide` says where each belongs, and `route`
sends them there.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path, PurePosixPath

import numpy as np

from weft.data.pairs import Pair
from weft.data.progress import Advance
from weft.data.records import record_kind
from weft.data.sources import Document


class Side(IntEnum):
    """What a document is for."""

    TRAIN = 0
    HELD_OUT = 1
    LEFT_OUT = 2  # of a data set that comes split: its test set, and what may lie beside it


_SIDES = {"train": Side.TRAIN, **dict.fromkeys(("dev", "val", "valid", "validation"), Side.HELD_OUT)}
_TEST = "test"
_BESIDE_NAMES = (_TEST, "readme", "license", "licence")
_SHARD = re.compile(r"-\d{5}-of-\d{5}(-[0-9a-f]+)?$")  # train-00000-of-00001.parquet, as data sets are published
# Files of a data set that comes split; train.py beside val.py is a program.
_DATA_SUFFIXES = ("", "txt", "text", "md", "csv", "tsv", "json", "jsonl", "parquet", "gz")


@dataclass(frozen=True)
class Survey:
    """What one pass over a source says of it; 8 bytes stay of each document.

    words: uint64 [documents], the first 8 bytes of sha256("seed:text"). digest: sha256 of the texts, in their order,
    and of what their files' names say. only: the text, where all documents that are not left out are equal. named:
    uint8 [documents], the sides, where the files' names say them; none is HELD_OUT where they hold a test set alone.
    """

    words: np.ndarray
    characters: int
    bytes: int  # of UTF-8
    digest: str
    only: Document | None
    named: np.ndarray | None


@dataclass(frozen=True)
class Sides:
    """Where each document belongs; cut > 0: they are all equal, and cut there."""

    of: np.ndarray  # uint8 [documents], each a Side
    cut: int = 0

    @property
    def counts(self) -> tuple[int, int]:
        """Documents to train on and held out."""
        train, held_out = (int((self.of == side).sum()) for side in (Side.TRAIN, Side.HELD_OUT))
        return train, held_out + bool(self.cut)

    @property
    def left_out(self) -> int:
        """Documents on neither side."""
        return int((self.of == Side.LEFT_OUT).sum())

    def route(self, documents: Iterable[Document]) -> Iterator[tuple[Side, Document]]:
        """Each document of those that were surveyed, or the parts of it, with its side, but for those left out."""
        first = True
        for document, side in zip(documents, self.of, strict=False):
            if side == Side.LEFT_OUT:
                continue
            if not self.cut:
                yield Side(side), document
                continue
            yield Side.TRAIN, Document(f"{document.name}[:{self.cut}]", document.text[: self.cut])
            if first:
                yield Side.HELD_OUT, Document(f"{document.name}[{self.cut}:]", document.text[self.cut :])
                first = False


def survey(documents: Iterable[Document], seed: int = 0, advance: Advance | None = None) -> Survey:
    """Look at every document once. ValueError, naming it, for a text with no UTF-8 (a lone surrogate)."""
    words, names, content = array("Q"), _Names(), hashlib.sha256()
    characters = size = 0
    all_of_them, of_train = _Equal(), _Equal()
    for document in documents:
        data = utf8(document)
        words.append(_word(data, seed))
        side = names.add(document.name)
        content.update(hashlib.sha256(data).digest())
        characters, size = characters + len(document.text), size + len(data)
        all_of_them.add(document)
        if side == Side.TRAIN:
            of_train.add(document)
        if advance is not None:
            advance("read", characters, 0)
    named = names.sides()
    if named is not None:
        content.update(named.tobytes())
    only = (all_of_them if named is None else of_train).document
    return Survey(np.array(words, np.uint64), characters, size, content.hexdigest(), only, named)


def unchanged(documents: Iterable[Document], found: Survey) -> Iterator[Document]:
    """The documents of a survey once more; ValueError, behind the last one, where they are not the same."""
    content = hashlib.sha256()
    for number, document in enumerate(documents):
        content.update(hashlib.sha256(utf8(document)).digest())
        if number == len(found.words):
            break  # one too many: another digest already, and nobody asks for what follows the last one
        yield document
    if found.named is not None:
        content.update(found.named.tobytes())
    if content.hexdigest() != found.digest:
        raise ValueError(
            f"the source gave other texts when it was read again (sha256 {found.digest[:12]}…, then "
            f"{content.hexdigest()[:12]}…): keep it as it is while it is read; what can be read once only is stored "
            "first, with store_texts"
        )


def utf8(document: Document) -> bytes:
    """The text's bytes; ValueError, naming the document, where it has a lone surrogate."""
    try:
        return document.text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{document.name}: the text has a lone surrogate, {document.text[error.start]!r}, at offset {error.start}, "
            "which has no bytes: mend it, or leave it out"
        ) from error


def decide(found: Survey, held_out: float = 0.1) -> Sides:
    """Where each document of a survey belongs: see `split`."""
    _check(held_out)
    named = np.zeros(len(found.words), np.uint8) if found.named is None else found.named
    if (named == Side.HELD_OUT).any():
        return Sides(named)
    if not len(named):
        raise ValueError("there are no documents to split")
    if held_out and found.only is not None:
        return Sides(named, _cut(found.only, held_out))
    sides, train = named.copy(), named == Side.TRAIN
    sides[train] = _by_hash(found.words[train], held_out)
    return Sides(sides)


def split(documents: Sequence[Document], held_out: float = 0.1, seed: int = 0) -> tuple[list[Document], list[Document]]:
    """(train, held out), in their order, with about the share `held_out` of the documents held out.

    - A data set of files train.* and dev|val|valid|validation.* in one folder, or of shards train-00000-of-00001.* and
      so on, is already split; test.* is left out. Where it has train.* and test.* alone, train.* is split as follows.
    - Else each document goes by the hash of its text: equal documents to one side. Of two or more different ones,
      neither side is empty.
    - A single document is cut, at a line's end if one is near: "name[:cut]" to train, "name[cut:]" held out.

    ValueError where there is nothing to split.
    """
    _check(held_out)
    sides: tuple[list[Document], list[Document]] = ([], [])
    for side, document in decide(survey(documents, seed), held_out).route(documents):
        sides[side].append(document)
    return sides


def split_pairs(pairs: Sequence[Pair], held_out: float = 0.1, seed: int = 0) -> tuple[list[Pair], list[Pair]]:
    """(train, held out) by the hash of each pair's source; pairs of equal sources to one side.

    ValueError where there are not two different sources.
    """
    _check(held_out)
    if held_out and len({source for source, _ in pairs}) < 2:
        raise ValueError(f"{len(pairs)} pairs with one source text cannot be split: give held-out pairs of their own")
    if not pairs:
        raise ValueError("there are no documents to split")
    words = [_word(source.encode("utf-8", "surrogatepass"), seed) for source, _ in pairs]
    sides = _by_hash(np.asarray(words, np.uint64), held_out)
    found: tuple[list[Pair], list[Pair]] = ([], [])
    for side, pair in zip(sides, pairs, strict=True):
        found[side].append(pair)
    return found


def _check(held_out: float) -> None:
    if not 0 <= held_out < 1:
        raise ValueError(f"held_out={held_out} is a share of the texts: at least 0 and less than 1")


def _word(data: bytes, seed: int) -> int:
    """Where a text falls among 2^64."""
    return int.from_bytes(hashlib.sha256(b"%d:" % seed + data).digest()[:8], "big")


def _by_hash(words: np.ndarray, held_out: float) -> np.ndarray:
    """The sides of documents by their words; of two different ones, neither side is empty."""
    shares = words.astype(np.float64) / 2**64
    held = shares < held_out
    if held_out and not held.any():
        held = words == words[shares.argmin()]
    if held.all():
        held &= words != words[shares.argmax()]
    return held.astype(np.uint8)


class _Equal:
    """The first of some documents, as long as they are all equal."""

    def __init__(self) -> None:
        self.document: Document | None = None
        self._first = True

    def add(self, document: Document) -> None:
        if self._first:
            self.document, self._first = document, False
        elif self.document is not None and self.document.text != document.text:
            self.document = None


@dataclass(frozen=True)
class _Group:
    """Files of one folder whose names say the same."""

    folder: PurePosixPath
    side: Side | None  # None: they say nothing
    test: bool = False  # whether they are a data set's test set


class _Names:
    """What files' names say of the split, as they go by: who is in which group."""

    def __init__(self) -> None:
        self.groups: dict[_Group, tuple[int, str]] = {}  # a number, and the first name
        self.latest: tuple[str, int, Side | None] = ("", -1, None)  # a file, its group's number, its side
        self.members: array[int] = array("I")  # each document's group

    def add(self, name: str) -> Side | None:
        """One document more; the side that its file's name says."""
        head, colon, line = name.rpartition(":")
        if colon and line.isdecimal() and record_kind(Path(head)):
            name = head  # "file.csv:12"
        if name != self.latest[0] or not self.groups:
            group = _group(name)
            self.latest = name, self.groups.setdefault(group, (len(self.groups), name))[0], group.side
        self.members.append(self.latest[1])
        return self.latest[2]

    def sides(self) -> np.ndarray | None:
        """The split that the names say; None where they say none. ValueError where some say nothing."""
        folders = {group.folder for group in self.groups if group.side == Side.TRAIN}
        folders &= {group.folder for group in self.groups if group.test or group.side == Side.HELD_OUT}
        if not folders:
            return None
        for group, (_, name) in self.groups.items():
            if group.side is None or (group.side != Side.LEFT_OUT and group.folder not in folders):
                raise ValueError(
                    f"{min(folders)} holds a split of its own (train.* with valid.* or test.*), but {name} is no part "
                    "of one: name the files of the split alone, or the others"
                )
        return np.asarray([group.side for group in self.groups], np.uint8)[np.asarray(self.members, np.int64)]


def _group(name: str) -> _Group:
    """Where a file lies, and what its name says it is for."""
    path = PurePosixPath(name)
    word, _, suffixes = path.name.lower().partition(".")
    word = _SHARD.sub("", word)
    data = all(suffix in _DATA_SUFFIXES for suffix in suffixes.split("."))
    if word in _BESIDE_NAMES:
        return _Group(path.parent, Side.LEFT_OUT, test=data and word == _TEST)
    return _Group(path.parent, _SIDES.get(word) if data else None)


def _cut(document: Document, held_out: float) -> int:
    """Where to cut a single document: after the line, or else the word, that ends nearest to where it should be."""
    text = document.text
    if len(text) < 2:
        raise ValueError(f"{document.name} has {len(text)} characters: too few to hold any out")
    target = min(max(round(len(text) * (1 - held_out)), 1), len(text) - 1)
    reach = max(1, min(target, len(text) - target) // 2)
    for mark in ("\n", " "):
        before = text.rfind(mark, target - reach, target) + 1
        after = text.find(mark, target, target + reach) + 1
        cuts = [cut for cut in (before, after) if 0 < cut < len(text)]
        if cuts:
            return min(cuts, key=lambda cut: abs(cut - target))
    return target
