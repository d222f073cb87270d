"""Rows as texts by column: what a template is filled from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from weft.data.labelled.columns import Value, read_columns
from weft.data.labelled.where import Where


@dataclass(frozen=True)
class TextRow:
    """What a row has in each column that was asked for, as a text, and where it stands."""

    where: Where
    texts: Mapping[str, str]


def read_texts(path: Path | str, columns: Sequence[str], *, header: bool = True) -> list[TextRow]:
    """Every row, its values as texts: a text as it is, a whole number in digits (also where JSON has it as 1.0),
    another number as Python writes it, a truth value as true or false.

    ValueError naming file and line where a value is missing, as well as what `read_columns` refuses.
    """
    return [
        TextRow(where, {name: _shown(value, name, where) for name, value in zip(columns, values, strict=True)})
        for where, values in read_columns(path, columns, header=header)
    ]


def _shown(value: Value, column: str, where: Where) -> str:
    if value is None:
        raise ValueError(f"{where}: there is no {column!r}: write one, or take the row out")
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)
