"""Parallel texts in a folder, a file for each language: what is translated into what, and the token that asks for it.

Of several directions, each source begins with the language it is to become, as >>de<< (Johnson et al. 2017, §3).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from weft.data.names import Side, side_of
from weft.data.pairs import Pair, read_pairs

_DIRECTION = re.compile(r"([^\W_]+)-([^\W_]+)")


def asking(language: str) -> str:
    """The word that stands before a source and says what language it is to become."""
    return f">>{language}<<"


def asked_languages(directions: Sequence[str]) -> tuple[str, ...]:
    """The languages that sources ask for; none where there is one direction, which nobody has to ask for."""
    targets = {target: None for _, target in map(_parse, directions)}
    return tuple(targets) if len(directions) > 1 else ()


def read_directions(folder: Path, directions: Sequence[str]) -> dict[Side, list[Pair]]:
    """The pairs of each side, direction after direction, of files that are named alike but for the language.

        read_directions(Path("multi30k"), ["en-de"])     # train.en.gz with train.de.gz, val.en.gz with val.de.gz

    The side is what the names say (`side_of`): all train where they say nothing; a test set is left out. ValueError for
    a direction that is none, is given twice, or has no files; for files without their counterpart or with another
    number of lines, and for two with one name; for a name that says nothing among others that say train or val; and for
    several directions with nothing held out by name: a sentence that one trains on would be held out in another.
    """
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is no folder, and data.directions={','.join(directions)} are of files in a folder, one for each "
            "language (train.en, train.de): name the folder, or leave data.directions out and name two files"
        )
    if repeated := {direction for direction in directions if directions.count(direction) > 1}:
        raise ValueError(f"data.directions has {', '.join(sorted(repeated))} twice: name each once")
    found: dict[Side, list[Pair]] = {Side.TRAIN: [], Side.HELD_OUT: []}
    asked = asked_languages(directions)
    for source, target in map(_parse, directions):
        mark = f"{asking(target)} " if asked else ""
        files = _files(folder, source, target)
        for side, (here, there) in zip(_sides(list(files), folder, source), files.values(), strict=True):
            if side != Side.LEFT_OUT:
                found[side] += [(mark + text, made) for text, made in read_pairs(here, there)]
    if not found[Side.TRAIN]:
        raise ValueError(
            f"{folder} has no pairs to train on in {', '.join(directions)}: name the files train.en and so on"
        )
    if asked and not found[Side.HELD_OUT]:
        raise ValueError(
            f"of several directions ({', '.join(directions)}) the held-out sentences must be the same, so files say "
            f"which they are: put val.{directions[0].partition('-')[0]} and its like beside train in {folder}"
        )
    return found


def _parse(direction: str) -> tuple[str, str]:
    """The two languages of en-de."""
    match = _DIRECTION.fullmatch(direction)
    if match is None or match[1] == match[2]:
        raise ValueError(f"data.directions has {direction!r}: write from which language into which other, as en-de")
    return match[1], match[2]


def _files(folder: Path, source: str, target: str) -> dict[str, tuple[Path, Path]]:
    """The files of one language, each with that of the other, by what else they are called."""
    of = {language: _of(folder, language) for language in (source, target)}
    for language, files in of.items():
        if not files:
            known = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_file())) or "nothing"
            raise ValueError(
                f"{folder} has no file of {language} (train.{language}, train.{language}.gz); it has {known}"
            )
    for language, other in ((source, target), (target, source)):
        if alone := sorted(of[language].keys() - of[other].keys()):
            raise ValueError(
                f"{of[language][alone[0]]} has no counterpart in {other}: {folder / alone[0]}.{other} is missing"
            )
    return {stem: (of[source][stem], of[target][stem]) for stem in sorted(of[source])}


def _of(folder: Path, language: str) -> dict[str, Path]:
    """The files of a language by what else they are called. ValueError where two are called alike."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = path.name.removesuffix(".gz").removesuffix(".txt")
        stem = name.removesuffix(f".{language}")
        if stem == name:
            continue
        if stem in found:
            raise ValueError(f"{found[stem]} and {path} are both {stem} in {language}: move one of them away")
        found[stem] = path
    return found


def _sides(stems: Sequence[str], folder: Path, language: str) -> list[Side]:
    """What files are for, by what they are called; all are to train on where none says so."""
    said = [side_of(f"{stem}.txt") for stem in stems]
    split = {Side.TRAIN, Side.HELD_OUT} & set(said)
    for stem, side in zip(stems, said, strict=True):
        if side is None and split:
            raise ValueError(
                f"{folder / stem}.{language} does not say what it is for, and others beside it are called train or "
                f"val: call it train-{stem}.{language}, val-{stem}.{language} or test-{stem}.{language}, or move it"
            )
    return [Side.TRAIN if side is None else side for side in said]
