"""What the names of a data set's files say of the split that it comes with."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path, PurePosixPath

import numpy as np

from weft.data.records import record_kind


class Side(IntEnum):
    """What a document is for."""

    TRAIN = 0
    HELD_OUT = 1
    LEFT_OUT = 2  # of a data set that comes split: its test set, and what may lie beside it
    REPEATED = 3  # of its held-out files, and trained on too


_SIDES = {
    "train": Side.TRAIN,
    **dict.fromkeys(("dev", "val", "valid", "validation", "t10k"), Side.HELD_OUT),  # t10k: MNIST's own word
    **dict.fromkeys(("test", "tst"), Side.LEFT_OUT),
}
_WORD = re.compile(rf"(?:news(?:discuss)?)?({'|'.join(_SIDES)})\d*")  # test2016, newstest2014, tst2013, dev2010
_BESIDE_NAMES = ("readme", "license", "licence")
_SHARD = re.compile(r"-\d{5}-of-\d{5}(-[0-9a-f]+)?$")  # train-00000-of-00001.parquet, as data sets are published
_PART = re.compile(r"[^._-]+")  # of wiki.train.txt, wiki_train.txt, wiki-train.txt
# Files of a data set that comes split; train.py beside val.py is a program, train.md beside test.md its manual.
# A picture, a sound or a piece is called as it likes (`side_above`).
_DATA_SUFFIXES = ("txt", "text", "tokens", "raw", "csv", "tsv", "json", "jsonl", "parquet", "gz", "npy", "npz")


@dataclass(frozen=True)
class Group:
    """Files whose names say the same. stem: the name with * for the word that says it, * alone for train.txt; of a
    folder of that name with its path, a/* for a/train/b.txt. Two groups with one stem are two parts of one data set.
    side: None where the name says nothing of it."""

    stem: str
    side: Side | None

    @property
    def by_folder(self) -> bool:
        """Whether a folder's name says it; many a folder is called dev or test, so that alone means little."""
        return "/" in self.stem

    @property
    def beside(self) -> bool:
        """Whether they may lie beside a data set, and are none of it."""
        return self.side == Side.LEFT_OUT and not self.stem


class Names:
    """The names of documents, as they go by: who is in which group."""

    def __init__(self) -> None:
        self.groups: dict[Group, tuple[int, str]] = {}  # a number, and the first name
        self.members: array[int] = array("I")  # each document's group
        self._latest: tuple[str, int, Side | None] = ("", -1, None)  # a file, its group's number, its side

    def add(self, name: str) -> Side | None:
        """One document more; the side that its file's name says."""
        head, colon, line = name.rpartition(":")
        if colon and line.isdecimal() and record_kind(Path(head)):
            name = head  # "file.csv:12"
        if name != self._latest[0] or not self.groups:
            group = _group(name)
            self._latest = name, self.groups.setdefault(group, (len(self.groups), name))[0], group.side
        self.members.append(self._latest[1])
        return self._latest[2]

    def sides(self, stems: set[str]) -> np.ndarray:
        """uint8 [documents], as the names say; ValueError where one is of no data set with one of the `stems`."""
        for group, (_, name) in self.groups.items():
            if group.side is None or not (group.beside or group.stem in stems):
                raise ValueError(
                    f"among the files is a split of its own (train with valid or test in names that are otherwise "
                    f"equal), but {name} is no part of one: name the files of the split alone, or the others"
                )
        return np.asarray([group.side for group in self.groups], np.uint8)[np.asarray(self.members, np.int64)]


def named_sides(sources: Sequence[Names]) -> list[np.ndarray] | None:
    """The split that the names of all sources together say, for each of them; None where they say none. ValueError
    where some are of a split and others not, or where it is not clear which belong together."""
    found = {group: name for names in sources for group, (_, name) in names.groups.items()}
    train = {group.stem: name for group, name in found.items() if group.side == Side.TRAIN}
    others = {group.stem: name for group, name in found.items() if group.side in (Side.HELD_OUT, Side.LEFT_OUT)}
    stems = train.keys() & others.keys()
    if stems:
        return [names.sides(stems) for names in sources]
    others.pop("", None)  # what lies beside
    if train and others and all(group.side is not None and not group.by_folder for group in found):
        raise ValueError(
            f"{min(train.values())} and {min(others.values())} seem to be of a split, but differ in more than "
            "that word: call them alike (wiki.train.txt, wiki.valid.txt), or give the one to be trained on alone"
        )
    return None


def side_of(name: str) -> Side | None:
    """What a file is for, by its name alone; None where it does not say."""
    return _group(name).side


def side_above(name: str) -> Side | None:
    """What something is for, by the folders that it lies in, the nearest first: where its own name says what it is."""
    return next((side for one in PurePosixPath(name).parents if (side := _side(one.name.lower())) is not None), None)


def _group(name: str) -> Group:
    """What a file's name, or else that of a folder it lies in, says it is for."""
    path = PurePosixPath(name)
    file = path.name.lower()
    if file.partition(".")[0] in _BESIDE_NAMES:
        return Group("", Side.LEFT_OUT)
    bare = _without_suffixes(file)
    if bare is None:
        return Group("", None)
    bare = _SHARD.sub("", bare)
    said = [(part.span(), side) for part in _PART.finditer(bare) if (side := _side(part.group())) is not None]
    if len(said) == 1:  # train-and-test.txt says nothing
        (start, stop), side = said[0]
        return Group(f"{bare[:start]}*{bare[stop:]}", side)
    for folder in path.parents:
        if (side := _side(folder.name.lower())) is not None:
            return Group(f"{folder.parent.as_posix()}/*", side)
    return Group("", None)


def _side(word: str) -> Side | None:
    """What a word of a name says."""
    match = _WORD.fullmatch(word)
    return None if match is None else _SIDES[match[1]]


def _without_suffixes(name: str) -> str | None:
    """A data file's name without what says its kind; None for a file of another kind."""
    head, dot, suffix = name.rpartition(".")
    if not dot:
        return name
    if suffix not in _DATA_SUFFIXES:
        return None if _side(suffix) is None else name  # wiki.train
    while dot and suffix in _DATA_SUFFIXES:
        name = head
        head, dot, suffix = name.rpartition(".")
    return name
