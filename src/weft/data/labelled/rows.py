"""Rows with labels: classification, regression, multiple choice. From .csv, .tsv, .jsonl (each also .gz) and
.parquet, with columns that the caller names (see `read_columns`: by number where a file has no header)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from weft.data.labelled.columns import Value, read_columns
from weft.data.labelled.where import Where


@dataclass(frozen=True)
class Unlabelled:
    """A text, or a pair of texts, of which nothing is known yet."""

    where: Where
    text: str
    second: str | None


@dataclass(frozen=True)
class Classified:
    """A text, or a pair of texts, and its class."""

    where: Where
    text: str
    second: str | None
    label: str


@dataclass(frozen=True)
class Scored:
    """A text, or a pair of texts, and a finite number."""

    where: Where
    text: str
    second: str | None
    score: float


@dataclass(frozen=True)
class Choice:
    """A text, N texts of which one goes with it, and which: `choices[right]`."""

    where: Where
    text: str
    choices: tuple[str, ...]
    right: int


def read_unlabelled(
    path: Path | str, *, text: str = "text", second: str | None = None, header: bool = True
) -> list[Unlabelled]:
    """Texts, or pairs of `text` and `second`; other columns are not read. Errors as in `read_classified`."""
    found = []
    for where, values in read_columns(path, _columns(text, second), header=header):
        pair = [_text(value, name, where) for name, value in zip(_columns(text, second), values, strict=True)]
        found.append(Unlabelled(where, pair[0], pair[1] if second is not None else None))
    return found


def read_classified(
    path: Path | str, *, text: str = "text", second: str | None = None, label: str = "label", header: bool = True
) -> list[Classified]:
    """Texts, or pairs of `text` and `second`, with the class in the column `label`: a text (spaces around it are left
    out), a whole number or a truth value ("true", "false").

    ValueError or DamagedFile naming file and line: no text, no label, a label that is a fraction, as well as what
    `read_columns` refuses. A text may be empty, but must be there.
    """
    found = []
    for where, values in read_columns(path, _columns(text, second, label), header=header):
        pair = [_text(value, name, where) for name, value in zip(_columns(text, second), values, strict=False)]
        found.append(
            Classified(where, pair[0], pair[1] if second is not None else None, _label(values[-1], label, where))
        )
    return found


def read_scored(
    path: Path | str, *, text: str = "text", second: str | None = None, score: str = "label", header: bool = True
) -> list[Scored]:
    """The same with a finite number in the column `score`."""
    found = []
    for where, values in read_columns(path, _columns(text, second, score), header=header):
        pair = [_text(value, name, where) for name, value in zip(_columns(text, second), values, strict=False)]
        found.append(Scored(where, pair[0], pair[1] if second is not None else None, _number(values[-1], score, where)))
    return found


def read_choices(
    path: Path | str,
    choices: Sequence[str],
    *,
    text: str = "text",
    label: str | None = "label",
    first: int = 0,
    header: bool = True,
) -> list[Choice]:
    """A text and those in the columns `choices`, with the right one in the column `label`: a whole number, `first` for
    the first of them, or a letter, A for the first (a too). ValueError naming file and line for any other. label=None:
    nobody knows, and `right` is 0."""
    if len(choices) < 2:
        named = ", ".join(map(repr, choices)) or "none"
        raise ValueError(f"of fewer than two columns nobody can choose, and there is {named}: name one for each choice")
    if twice := [name for place, name in enumerate(choices) if name in choices[:place]]:
        raise ValueError(f"the column {twice[0]!r} is named for two of the choices: name one for each")
    found = []
    for where, values in read_columns(path, _columns(text, *choices, label), header=header):
        names = zip((text, *choices), values, strict=False)
        told, *offered = (_text(value, name, where) for name, value in names)
        right = 0 if label is None else _right(_label(values[-1], label, where), len(choices), first, where)
        found.append(Choice(where, told, tuple(offered), right))
    return found


def _columns(*names: str | None) -> tuple[str, ...]:
    return tuple(name for name in names if name is not None)


def _text(value: Value, column: str, where: Where) -> str:
    if value is None:
        raise ValueError(f"{where}: there is no {column!r}: write one, or take the row out")
    if not isinstance(value, str):
        raise ValueError(f"{where}: {column!r} is {value!r}, not a text: choose another column, or write a text")
    return value


def _label(value: Value, column: str, where: Where) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError(
                f"{where}: the label {column!r} is {value!r}, and a class is a text or a whole number: numbers are "
                "scores (of the task regress)"
            )
        value = int(value)
    label = "" if value is None else str(value).strip()
    if not label:
        raise ValueError(f"{where}: there is no label in {column!r}: write one, or take the row out")
    return label


def _number(value: Value, column: str, where: Where) -> float:
    plain = not isinstance(value, bool) and not (isinstance(value, str) and "_" in value)
    try:
        number = float(value) if plain and value is not None else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: {column!r} is {value!r}, not a finite number: mend it, or take the row out")
    return number


def _right(label: str, count: int, first: int, where: Where) -> int:
    letters = [chr(ord("A") + number) for number in range(min(count, 26))]
    if label.upper() in letters:
        return letters.index(label.upper())
    if label.removeprefix("-").isdecimal() and first <= int(label) < first + count:
        return int(label) - first
    other = " (--first 1: they count from 1)" if first == 0 and label == str(count) else ""
    raise ValueError(
        f"{where}: the right one of {count} choices is {label!r}: a number from {first} to {first + count - 1}{other}, "
        f"or a letter from {letters[0]} to {letters[-1]}"
    )
