"""Files of records, one document a row: .csv, .tsv, .jsonl (each also .gz) and .parquet, read as a stream."""

import contextlib
import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from weft.data.reading import open_text, packed
from weft.files import DamagedFile

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

RECORDS = frozenset([".csv", ".tsv", ".jsonl", ".parquet"])
PARQUET = "pip install 'weft[parquet]'"

CHOOSE = "choose one (data.column, --column)"
FIRST_ROW = ", by its first row, which names the columns: put such a row first if this one is text"
_LONGEST = 1 << 30  # characters of one value of a .csv; Python's own limit is 131,072
_ROWS = 1024  # of a .parquet, read at once


class NoColumn(ValueError):
    """A column that is asked for is not there. where: the file, or a row of it; there: the columns that it has."""

    def __init__(self, said: str, column: str, where: object, there: Sequence[str]) -> None:
        super().__init__(said)
        self.column, self.where, self.there = column, str(where), tuple(there)


class Record(NamedTuple):
    """What one row has in the column that was asked for; text is None where it has nothing."""

    line: int  # where the row begins, from 1; of a .parquet the row's number
    text: str | None


def record_kind(path: Path) -> str | None:
    """ ".csv" and so on for a file of records, by its name; None for any other. A .parquet is never also .gz."""
    kind = Path(path.stem).suffix.lower() if packed(path) else path.suffix.lower()
    return kind if kind in RECORDS and not (kind == ".parquet" and packed(path)) else None


def read_records(path: Path, column: str) -> Iterator[Record]:
    """Every row of a file of records, in its order.

    - .csv: a header line, then what Python's csv module reads (commas, quotes doubled; a value may hold line ends).
    - .tsv: a header line, then values between tabs as they are: quotes mean nothing (IANA's text/tab-separated-values).
    - .jsonl: one JSON object a line. - .parquet: a column of strings; needs pyarrow.

    ValueError where no row has the column, naming those there are; DamagedFile, naming the line, for a row that is no
    row, or whose value is no text. Lines without anything on them are no rows.
    """
    kind = record_kind(path)
    if kind == ".jsonl":
        return _objects(path, column)
    if kind == ".parquet":
        return _parquet(path, column)
    return _table(path, column, tabs=kind == ".tsv")


def _table(path: Path, column: str, tabs: bool) -> Iterator[Record]:
    with open_text(path, newline="") as lines:
        rows = table_rows(lines, path, tabs=tabs)
        header = next(rows, (1, []))[1]
        if not header:
            return
        if header.count(column) != 1:
            raise no_column(path, column, header, FIRST_ROW)
        place = header.index(column)
        for line, row in rows:
            if len(row) != len(header):
                raise DamagedFile(
                    f"{path}, line {line}: the row has {len(row)} values and the header {len(header)}: mend the line"
                )
            yield Record(line, row[place])


def table_rows(lines: Iterable[str], path: Path, *, tabs: bool) -> Iterator[tuple[int, list[str]]]:
    """Each row of a .csv, or with `tabs` of a .tsv, that is not blank, with the line on which it begins."""
    delimiter, quoting = ("\t", csv.QUOTE_NONE) if tabs else (",", csv.QUOTE_MINIMAL)
    reader = csv.reader(lines, strict=True, delimiter=delimiter, quoting=quoting)
    while True:
        line = reader.line_num + 1
        before = csv.field_size_limit(_LONGEST)  # the module knows one limit only, for everybody
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DamagedFile(f"{path}, line {line}: {error}") from error
        finally:
            csv.field_size_limit(before)
        if row is None:
            return
        if row:
            yield line, row


def _objects(path: Path, column: str) -> Iterator[Record]:
    seen, names = False, dict[str, None]()
    for number, row in object_rows(path):
        if column in row:
            seen = True
        elif not seen:
            names |= dict.fromkeys(row)
        text = row.get(column)
        if text is not None and not isinstance(text, str):
            raise DamagedFile(
                f"{path}, line {number}: {column!r} is {json.dumps(text)[:40]}, not a text: mend the line, or "
                "choose another column (data.column, --column)"
            )
        yield Record(number, text)
    if names and not seen:
        raise no_column(path, column, list(names))


def object_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each object of a .jsonl with its line."""
    with open_text(path, newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip(" \t\r\n"):
                yield number, _object(line, f"{path}, line {number}")


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DamagedFile(f"{where}: not JSON, at character {error.pos + 1}: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise DamagedFile(f"{where}: not JSON that can be read: {error}") from error
    if not isinstance(row, dict):
        raise DamagedFile(f"{where}: a row is an object of values by column, not {line.strip()[:40]}")
    return row


def _parquet(path: Path, column: str) -> Iterator[Record]:
    with open_parquet(path) as file:
        _check_texts(file, path, column)
        for number, (text,) in enumerate(parquet_rows(file, path, [column]), start=1):
            yield Record(number, text)


@contextlib.contextmanager
def open_parquet(path: Path) -> "Iterator[ParquetFile]":
    """A .parquet; DamagedFile, also while it is read, where it is none. ValueError where pyarrow is not installed."""
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ValueError(f"{path}: reading .parquet needs pyarrow: {PARQUET}") from error
    try:
        with ParquetFile(path) as file:
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        raise DamagedFile(f"{path} cannot be read as .parquet: {error}") from error


def parquet_rows(file: "ParquetFile", path: Path, columns: Sequence[str], choose: str = CHOOSE) -> Iterator[list[Any]]:
    """What each row has in these columns. ValueError for one that is not there, DamagedFile for what is not UTF-8."""
    names = file.schema_arrow.names
    for column in columns:
        if names.count(column) != 1:
            raise no_column(path, column, names, choose=choose)
    number = 0
    for batch in file.iter_batches(batch_size=_ROWS, columns=list(dict.fromkeys(columns)), use_threads=False):
        for values in zip(*(batch.column(column) for column in columns), strict=True):
            number += 1
            row = list[Any]()
            for column, value in zip(columns, values, strict=True):
                try:
                    row.append(value.as_py())
                except UnicodeDecodeError as error:
                    raise DamagedFile(
                        f"{path}, row {number}: {column!r} is not UTF-8: byte {error.start} of the value"
                    ) from error
            yield row


def _check_texts(file: "ParquetFile", path: Path, column: str) -> None:
    """DamagedFile where a column, which is there, holds something other than texts."""
    import pyarrow

    schema = file.schema_arrow
    if schema.names.count(column) != 1:
        return  # which is said elsewhere
    kind = schema.field(column).type
    plain = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    if not (pyarrow.types.is_string(plain) or pyarrow.types.is_large_string(plain)):
        raise DamagedFile(
            f"{path}: {column!r} holds {kind}, not text: choose another column (data.column, --column); there are: "
            + ", ".join(map(str, schema.names))
        )


def no_column(path: object, column: str, names: list[str], hint: str = "", choose: str = CHOOSE) -> ValueError:
    """What to say of a column that is not there, or is there twice; `path`: the file, or a row of it."""
    if column in names:
        return ValueError(f"{path} has {names.count(column)} columns called {column!r}: name each once")
    said = f"{path} has no column {column!r}: {choose}; there are: {', '.join(map(repr, names))}{hint}"
    return NoColumn(said, column, path, names)
