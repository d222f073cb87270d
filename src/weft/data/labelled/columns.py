"""Some columns of a file of records, row by row: what `weft.data.records` does for one text column, for several of any
plain values."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from weft.data.labelled.where import Where
from weft.data.reading import open_text
from weft.data.records import (
    FIRST_ROW,
    RECORDS,
    NoColumn,
    no_column,
    object_rows,
    open_parquet,
    parquet_rows,
    record_kind,
    table_rows,
)
from weft.files import DamagedFile

Value = str | int | float | bool | None  # of a .csv or .tsv always a text

_CHOOSE = "choose one of its columns"
_NUMBERED = "without a header, columns are numbers from 1"


class Row(NamedTuple):
    """What one row has in the columns that were asked for, in their order."""

    where: Where
    values: tuple[Value, ...]


def read_columns(path: Path | str, columns: Sequence[str], *, header: bool = True) -> Iterator[Row]:
    """Every row of a .csv, .tsv, .jsonl (each also .gz) or .parquet, in its order.

    columns: names; or, with header=False, for a .csv or .tsv whose first row is a row like the others, numbers from 1:
    ("1", "2"). ValueError for a column that is not there, naming those there are, for a file of another kind and for
    one without rows; DamagedFile, naming file and line, for a row that is no row or holds a list or an object there.
    """
    path = Path(path)
    kind = record_kind(path)
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if kind is None:
        raise ValueError(
            f"{path} is no file of rows: those are called {', '.join(sorted(RECORDS))}, .gz too but for the last"
        )
    if not header and kind in (".jsonl", ".parquet"):
        raise ValueError(f"{path}: a {kind} names its columns itself: only .csv and .tsv may have no header")
    if kind == ".jsonl":
        rows = _objects(path, columns)
    elif kind == ".parquet":
        rows = _parquet(path, columns)
    else:
        rows = _table(path, columns, tabs=kind == ".tsv", header=header)
    return _some(rows, path)


def _some(rows: Iterable[Row], path: Path) -> Iterator[Row]:
    some = False
    for row in rows:
        some = True
        yield row
    if not some:
        raise ValueError(f"{path} has no rows")


def _table(path: Path, columns: Sequence[str], tabs: bool, header: bool) -> Iterator[Row]:
    with open_text(path, newline="") as lines:
        first: list[str] | None = None
        places: list[int] = []
        for line, row in table_rows(lines, path, tabs=tabs):
            if first is None:
                first = row
                places = _named(path, columns, row) if header else _numbered(path, columns, row)
                if header:
                    continue
            if len(row) != len(first):
                whole = "the header" if header else "the first row"
                raise DamagedFile(
                    f"{path}, line {line}: the row has {len(row)} values and {whole} {len(first)}: mend the line"
                )
            yield Row(Where(str(path), f"line {line}"), tuple(row[place] for place in places))


def _named(path: Path, columns: Sequence[str], header: list[str]) -> list[int]:
    for column in columns:
        if header.count(column) != 1:
            hint = f"{FIRST_ROW}, or name columns by number (weft tune --no-header)" if column not in header else ""
            raise no_column(path, column, header, hint, _CHOOSE)
    return [header.index(column) for column in columns]


def _numbered(path: Path, columns: Sequence[str], row: list[str]) -> list[int]:
    there = [str(number) for number in range(1, len(row) + 1)]
    for column in columns:
        if not (column.isdecimal() and 1 <= int(column) <= len(row)):
            shown = column if column.isdecimal() else repr(column)
            raise NoColumn(f"{path} has no column {shown}: {_NUMBERED}, here to {len(row)}", column, path, there)
    return [int(column) - 1 for column in columns]


def _objects(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    for number, row in object_rows(path):
        where = Where(str(path), f"line {number}")
        for column in columns:
            if column not in row:
                raise no_column(where, column, list(row), choose=_CHOOSE)
        yield Row(where, tuple(_plain(row[column], column, where) for column in columns))


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    with open_parquet(path) as file:
        for number, row in enumerate(parquet_rows(file, path, columns, _CHOOSE), start=1):
            where = Where(str(path), f"row {number}")
            yield Row(where, tuple(_plain(value, name, where) for name, value in zip(columns, row, strict=True)))


def _plain(value: Any, column: str, where: Where) -> Value:
    if value is not None and not isinstance(value, str | int | float | bool):
        shown = json.dumps(value, default=str, ensure_ascii=False)[:40]
        raise DamagedFile(f"{where}: {column!r} is {shown}, not a text or a number: choose another column")
    return value
