"""Series of numbers: columns of a table as rows of vectors, each channel by its own mean and deviation."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from weft.data.reading import open_text
from weft.data.records import FIRST_ROW, no_column, table_rows
from weft.files import DamagedFile

MOST_NUMBERS = 50_000_000  # of a table: 400 MB
LARGEST = float(np.finfo(np.float32).max)  # of a number, either way: models read fp32
LEAST = 1e-12  # of a deviation, beside the size of its channel's numbers: less is rounding


class Table(NamedTuple):
    """columns: their names; values: fp64 [rows, columns], finite but for NaN where a value is missing."""

    columns: tuple[str, ...]
    values: np.ndarray


def read_table(path: Path, columns: Sequence[str] | None = None, *, gaps: bool = False) -> Table:
    """The numbers of a .csv or .tsv (also .gz) whose first row names the columns; of `columns` alone, in this order,
    where they are given, so that others may hold anything. gaps: a value that is empty is NaN.

    DamagedFile names line and column of what is no finite number, or beyond LARGEST; ValueError a column that is not
    there or there twice, a file without rows, and one of more than MOST_NUMBERS.
    """
    tabs = ".tsv" in path.suffixes[-2:]
    with open_text(path, newline="") as lines:
        rows = table_rows(lines, path, tabs=tabs)
        header = [name.strip() for name in next(rows, (1, list[str]()))[1]]
        if not header:
            raise ValueError(f"{path} is empty: its first row names the columns, and numbers stand below")
        names = tuple(header if columns is None else columns)
        for name in names:
            if header.count(name) != 1:
                raise no_column(path, name, header, FIRST_ROW, "choose others")
        places, numbers = [header.index(name) for name in names], array("d")
        for line, row in rows:
            if len(row) != len(header):
                raise DamagedFile(
                    f"{path}, line {line}: the row has {len(row)} values and the header {len(header)}: mend the line"
                )
            numbers.extend(_number(row[at], f"{path}, line {line}", header[at], gaps) for at in places)
            if len(numbers) > MOST_NUMBERS:
                raise ValueError(f"{path} has more than the {MOST_NUMBERS:,} numbers that are read: part it")
    if not numbers:
        raise ValueError(f"{path} has a header and no row: there are no numbers in it")
    return Table(names, np.frombuffer(numbers, np.float64).reshape(-1, len(names)).copy())


def _number(text: str, where: str, column: str, gaps: bool) -> float:
    """A finite number up to LARGEST, written as Python reads one; without _ between digits. gaps: NaN where there is
    none."""
    if gaps and not text.strip():
        return math.nan
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if abs(value) <= LARGEST:
        return value
    said = f"{text.strip()[:40]!r} is no finite number"
    if not text.strip():
        said = "is empty (data.missing=last fills such)"
    elif math.isfinite(value):
        said = f"{text.strip()[:40]!r} is beyond the {LARGEST:.2g} that are read"
    raise DamagedFile(f"{where}: {column!r} {said}: mend the line, or choose other columns (data.columns)")


@dataclass(frozen=True)
class Series:
    """(value - mean) / std of each channel: numbers [N, T, C] -> fp32 [N, T, C].

    columns: what the channels are called in a table, in their order.
    """

    columns: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.columns) == len(self.mean) == len(self.std) or not self.columns:
            raise ValueError(
                f"{len(self.columns)} columns with {len(self.mean)} means and {len(self.std)} deviations: one of each"
            )
        if min(self.std) <= 0:
            raise ValueError(f"std={min(self.std)}, but numbers are divided by it: above 0")

    @property
    def channels_of_place(self) -> int:
        """Numbers of a place."""
        return len(self.columns)

    @staticmethod
    def of(table: Table) -> Series:
        """By the mean and deviation of each column, which are to be of what is trained on. ValueError for one whose
        numbers are all the same: there is nothing to tell."""
        mean, std = table.values.mean(axis=0), table.values.std(axis=0)
        flat = std <= LEAST * np.maximum(np.abs(mean), 1e-300)
        if flat.any():
            name = table.columns[int(flat.argmax())]
            raise ValueError(f"{name!r} is {mean[flat.argmax()]:g} throughout: leave it out")
        return Series(table.columns, tuple(map(float, mean)), tuple(map(float, std)))

    def read(self, path: Path) -> np.ndarray:
        """The numbers of these columns in a table, fp64 [T, C], see `read_table`."""
        return read_table(path, self.columns).values

    def rows(self, signals: np.ndarray) -> np.ndarray:
        """Numbers [N, T, C] -> fp32 [N, T, C]. ValueError for another number of channels, and see `fp32`."""
        if signals.ndim != 3 or signals.shape[-1] != len(self.columns):
            raise ValueError(f"series of {len(self.columns)} channels are [N, T, C], not {list(signals.shape)}")
        return fp32((signals - np.asarray(self.mean)) / np.asarray(self.std), self.columns)

    def values(self, rows: np.ndarray) -> np.ndarray:
        """The way back: fp32 [.., C] -> fp64 [.., C], in the table's units."""
        return rows.astype(np.float64) * np.asarray(self.std) + np.asarray(self.mean)


def fp32(scaled: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Normalised numbers [.., C] as fp32. names: of the C, for errors. ValueError for one that fp32 cannot say."""
    for at in np.argwhere(np.abs(scaled) > LARGEST)[:1]:
        where = "" if len(at) < 2 else f", row {at[-2] + 1},"
        raise ValueError(
            f"{names[at[-1]]}{where} lies {abs(scaled[tuple(at)]):.2g} deviations of what was trained on from its "
            f"mean, and a model reads at most {LARGEST:.2g}: mend the data"
        )
    return scaled.astype(np.float32)


def windows(values: np.ndarray, length: int, *, step: int | None = None) -> np.ndarray:
    """Stretches of `length` rows of a series [T, C], the next `step` rows on (None: length): views, [N, length, C].
    What is left at the end, less than a stretch, is left out. ValueError where there is none."""
    step = length if step is None else step
    if length < 1 or step < 1 or len(values) < length:
        raise ValueError(f"a series of {len(values)} rows has no stretch of {length}, {step} rows on: shorten it")
    found = np.lib.stride_tricks.sliding_window_view(values, length, axis=0)  # [T - length + 1, C, length]
    return found[::step].swapaxes(1, 2)  # [N, length, C]
