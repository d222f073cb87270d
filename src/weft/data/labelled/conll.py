"""Sentences of words with tags: CoNLL's columns, and CoNLL-U of the Universal Dependencies; each also .gz."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from weft.data.labelled.where import Where
from weft.data.reading import open_text
from weft.files import DamagedFile

# The columns of CoNLL-U, https://universaldependencies.org/format.html
CONLLU = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")

_DOCUMENT = "-DOCSTART-"
_SPACES = re.compile("[ \t]+")  # not str.split, to which U+00A0 and U+3000, which may be words, are spaces too
_RANGE, _EMPTY_NODE = re.compile(r"\d+-\d+"), re.compile(r"\d+\.\d+")


@dataclass(frozen=True)
class Sentence:
    """Words and the tag of each."""

    file: str
    lines: tuple[int, ...]  # of each word, from 1
    words: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def where(self) -> Where:
        """Where it begins."""
        return self.at(0)

    def at(self, word: int) -> Where:
        """Where a word of it stands."""
        return Where(self.file, f"line {self.lines[word]}")


class TaggedWord(NamedTuple):
    """One word's tag, and where it stands."""

    where: Where
    label: str


def tagged_words(sentences: list[Sentence]) -> list[TaggedWord]:
    """The tag of every word, as `Labels.collect` and `Labels.absent` read them."""
    return [TaggedWord(s.at(number), tag) for s in sentences for number, tag in enumerate(s.tags)]


def read_conll(
    path: Path | str, *, token: int = 1, tag: int | None = None, separator: str | None = None, tagged: bool = True
) -> list[Sentence]:
    """Sentences of a file with a word a line and an empty line (or one of spaces alone) after each sentence.

    token, tag: numbers of columns, from 1; None: the last one. separator: what is between columns, "\\t" or " " (any
    number of spaces and tabs); None: a tab where the first word's line has one, else spaces. Lines of -DOCSTART- are
    left out. There are no comments: "#" is a word. tagged=False: only the words are read, and each is its own tag.

    DamagedFile naming file and line for another number of columns than the first word's line has, an empty word or tag;
    ValueError for a column that is not there, and where there is no word at all.
    """
    path = Path(path)
    if separator not in (None, "\t", " "):
        raise ValueError(f"columns are separated by a tab or by spaces, not by {separator!r}")
    found, columns = list[Sentence](), 0
    for rows in _blocks(path):
        words = list[tuple[int, str, str]]()
        for line, text in rows:
            separator = separator or ("\t" if "\t" in text else " ")
            values = text.split("\t") if separator == "\t" else _SPACES.split(text.strip(" \t"))
            if values[0] == _DOCUMENT:
                continue
            columns = columns or _columns(len(values), token, tag if tagged else token, tagged, path, line)
            place = (tag or columns) if tagged else token
            words.append((line, *_word(values, columns, token, place, f"{path}, line {line}", separator)))
        if words:
            found.append(_sentence(path, words))
    return _some(found, path)


def read_conllu(path: Path | str, *, tag: str = "UPOS") -> list[Sentence]:
    """Sentences of a CoNLL-U file with the tags of a column: UPOS, XPOS or another of `CONLLU`.

    The words are the syntactic ones: lines of ranges ("3-4", what is written as one) and of empty nodes ("5.1", what is
    not written) are left out, as are comments. DamagedFile naming file and line for a line that is not of ten columns
    between tabs, a word's number that does not follow, an empty word, and a UPOS or XPOS that is not given ("_").
    """
    if tag not in CONLLU:
        raise ValueError(f"CoNLL-U has no column {tag!r}: choose one of {', '.join(CONLLU)}")
    path, place = Path(path), CONLLU.index(tag)
    found = list[Sentence]()
    for rows in _blocks(path):
        words = list[tuple[int, str, str]]()
        for line, text in rows:
            if text.startswith("#"):
                continue
            where, values = f"{path}, line {line}", text.split("\t")
            if len(values) != len(CONLLU):
                raise DamagedFile(f"{where}: {len(values)} columns between tabs, and CoNLL-U has {len(CONLLU)}")
            if _RANGE.fullmatch(values[0]) or _EMPTY_NODE.fullmatch(values[0]):
                continue
            if values[0] != str(len(words) + 1):
                raise DamagedFile(
                    f"{where}: the word's number is {values[0]!r}, after {len(words)} words of its sentence"
                )
            if not values[1].strip() or not values[place]:
                raise DamagedFile(f"{where}: the {tag if values[1].strip() else 'word'} is empty")
            if values[place] == "_" and tag in ("UPOS", "XPOS"):
                raise DamagedFile(
                    f"{where}: the word {values[1]!r} has no {tag}: choose another column, or take it out"
                )
            words.append((line, values[1], values[place]))
        if words:
            found.append(_sentence(path, words))
    return _some(found, path)


def _blocks(path: Path) -> Iterator[list[tuple[int, str]]]:
    """Lines with their numbers, between lines of nothing but spaces."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    with open_text(path, newline="\n") as lines:
        rows = list[tuple[int, str]]()
        for number, line in enumerate(lines, start=1):
            if line.strip(" \t\r\n"):
                rows.append((number, line.rstrip("\r\n")))
            elif rows:
                yield rows
                rows = []
        if rows:
            yield rows


def _columns(count: int, token: int, tag: int | None, tagged: bool, path: Path, line: int) -> int:
    """How many columns there are, by the first word's line; ValueError where those asked for are not among them."""
    wanted = [token] if tag is None else [token, tag]
    outside = next((number for number in wanted if not 1 <= number <= count), None)
    if outside is not None:
        raise ValueError(f"{path} has no column {outside}: by line {line} they are numbered from 1 to {count}")
    if tagged and token == (tag or count):
        raise ValueError(
            f"{path}, line {line}: a word and its tag are in two columns, and column {token} of {count} is asked for "
            "as both: name them by number (token, tag), or say what separates them"
        )
    return count


def _word(values: list[str], columns: int, token: int, tag: int, where: str, separator: str) -> tuple[str, str]:
    if len(values) != columns:
        between = "tabs" if separator == "\t" else "spaces"
        raise DamagedFile(
            f"{where}: {len(values)} columns between {between}, and the first word's line has {columns}: mend the line"
        )
    word, label = values[token - 1], values[tag - 1].strip(" ")
    if not word.strip(" ") or not label:
        raise DamagedFile(f"{where}: the {'tag' if word.strip(' ') else 'word'} is empty: mend the line")
    return word, label


def _sentence(path: Path, words: list[tuple[int, str, str]]) -> Sentence:
    lines, texts, tags = zip(*words, strict=True)
    return Sentence(str(path), lines, texts, tags)


def _some(found: list[Sentence], path: Path) -> list[Sentence]:
    if not found:
        raise ValueError(f"{path} has no words")
    return found
