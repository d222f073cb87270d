"""What is trained on and what is held out: decided by content, so that no text is on both sides.

In two passes, so that no text is kept: `survey` looks at every document, `decide` says where each belongs, and `route`
sends them there.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from weft.data.names import Names, Side, named_sides
from weft.data.pairs import Pair
from weft.data.progress import Advance
from weft.data.sources import Document


@dataclass(frozen=True)
class Survey:
    """What one pass over a source says of it; 12 bytes stay of each document.

    words: uint64 [documents], the first 8 bytes of sha256("seed:text"). digest: sha256 of the texts, in their order.
    only: the text, where all documents are equal; only_train: where those are of which the files' names say train.
    """

    words: np.ndarray
    characters: int
    bytes: int  # of UTF-8
    digest: str
    names: Names
    only: Document | None
    only_train: Document | None

    @property
    def first(self) -> str:
        """The name of the first document."""
        return next((name for _, name in self.names.groups.values()), "nothing")


@dataclass(frozen=True)
class Sides:
    """Where each document belongs; cut > 0: they are all equal, and cut there. named: the files' names say what is held
    out."""

    of: np.ndarray  # uint8 [documents], each a Side
    cut: int = 0
    named: bool = False

    @property
    def counts(self) -> tuple[int, int]:
        """Documents to train on and held out."""
        train, held_out = (self.count(side) for side in (Side.TRAIN, Side.HELD_OUT))
        return train, held_out + bool(self.cut)

    def count(self, side: Side) -> int:
        """Documents of a side, as they were before any was cut."""
        return int((self.of == side).sum())

    def route(self, documents: Iterable[Document]) -> Iterator[tuple[Side, Document]]:
        """Each document of those that were surveyed, or the parts of it, with its side, where it is trained on or held
        out."""
        first = True
        for document, side in zip(documents, self.of, strict=False):
            if side not in (Side.TRAIN, Side.HELD_OUT):
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
    words, names, content = array("Q"), Names(), hashlib.sha256()
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
    found = np.array(words, np.uint64)
    return Survey(found, characters, size, content.hexdigest(), names, all_of_them.document, of_train.document)


def unchanged(documents: Iterable[Document], found: Survey) -> Iterator[Document]:
    """The documents of a survey once more; ValueError, behind the last one, where they are not the same."""
    content = hashlib.sha256()
    for number, document in enumerate(documents):
        content.update(hashlib.sha256(utf8(document)).digest())
        if number == len(found.words):
            break  # one too many: another digest already, and nobody asks for what follows the last one
        yield document
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


def decide(surveys: Sequence[Survey], held_out: float = 0.1) -> list[Sides]:
    """Where each document of some sources belongs, for each source: see `split`. Over all of them together, so that no
    text is trained on in one and held out in another. ValueError where one of them has nothing to train on."""
    _check(held_out)
    if not any(len(found.words) for found in surveys):
        raise ValueError("there are no documents to split")
    named = named_sides([found.names for found in surveys])
    if named is not None and any((sides == Side.HELD_OUT).any() for sides in named):
        decided = _as_named(surveys, named)
    else:
        decided = _by_content(surveys, named, held_out)
    for found, sides in zip(surveys, decided, strict=True):
        if not sides.counts[0]:
            raise ValueError(
                f"nothing is left to train on of the source that begins with {found.first}: of its {len(sides.of):,} "
                f"documents {sides.count(Side.HELD_OUT):,} are held out, here or in another source, and "
                f"{sides.count(Side.LEFT_OUT):,} are of a test set or beside one; give it more, leave it out, or "
                "choose another data.seed"
            )
    return decided


def _as_named(surveys: Sequence[Survey], named: Sequence[np.ndarray]) -> list[Sides]:
    """The split of the files' names, but for held-out texts that are trained on too."""
    train = np.concatenate([found.words[of == Side.TRAIN] for found, of in zip(surveys, named, strict=True)])
    decided = []
    for found, of in zip(surveys, named, strict=True):
        repeated = (of == Side.HELD_OUT) & np.isin(found.words, train)
        decided.append(Sides(np.where(repeated, np.uint8(Side.REPEATED), of), named=True))
    if not any(sides.count(Side.HELD_OUT) for sides in decided):
        repeated = sum(sides.count(Side.REPEATED) for sides in decided)
        raise ValueError(
            f"all {repeated:,} documents that the files' names hold out are among those to train on too: there is "
            "nothing to evaluate on; give other held-out files, or those to train on alone, to be split"
        )
    return decided


def _by_content(surveys: Sequence[Survey], named: Sequence[np.ndarray] | None, held_out: float) -> list[Sides]:
    """By the hashes of the texts; where the names leave a test set out, of the others."""
    of = named or [np.zeros(len(found.words), np.uint8) for found in surveys]
    words = [found.words[sides == Side.TRAIN] for found, sides in zip(surveys, of, strict=True)]
    only = [found.only if named is None else found.only_train for found in surveys]
    held: list[np.ndarray] = []
    cuts: list[int] = []
    for number, text in enumerate(only):
        others = [words[other] for other in range(len(only)) if other != number and only[other] is None]
        alone = text is not None and bool(held_out)
        elsewhere = alone and any(np.isin(words[number][:1], other).any() for other in others)
        cuts.append(_cut(text, held_out) if alone and text is not None and not elsewhere else 0)
        if not alone:  # else it goes where the other sources' go: a part of it would be on both sides
            sides = _by_hash(words[number], held_out)
            held.append(words[number][sides == Side.HELD_OUT])
    all_held = np.concatenate([*held, np.zeros(0, np.uint64)])
    decided = []
    for sides, mine, cut in zip(of, words, cuts, strict=True):
        found = sides.copy()
        if not cut:
            found[sides == Side.TRAIN] = np.isin(mine, all_held)
        decided.append(Sides(found, cut))
    return decided


def split(documents: Sequence[Document], held_out: float = 0.1, seed: int = 0) -> tuple[list[Document], list[Document]]:
    """(train, held out), in their order, with about the share `held_out` of the documents held out.

    - A data set of files train.* and dev|val|valid|validation.* (also shards, train-00000-of-00001.*; also a part of
      a name, wiki.train.txt; also folders of these names) is already split; test.* is left out, and so is a held-out
      text that is in train.* too. Where it has train.* and test.* alone, train.* is split as follows.
    - Else each document goes by the hash of its text: equal documents to one side. Of two or more different ones,
      neither side is empty.
    - A single document is cut, at a line's end if one is near: "name[:cut]" to train, "name[cut:]" held out.

    ValueError where there is nothing to split.
    """
    _check(held_out)
    sides: tuple[list[Document], list[Document]] = ([], [])
    (decided,) = decide([survey(documents, seed)], held_out)
    for side, document in decided.route(documents):
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
