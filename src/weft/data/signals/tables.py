"""From words on a command line to rows of a series: read, fill, split by time, normalise."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from weft.batch import Unfit
from weft.data.signals.series import Series, Table, read_table
from weft.data.signals.stretches import Stretches, held_out, learned
from weft.data.sources import Say, quiet
from weft.registry import Registry, suggest

COLUMNS = {"sunspots": ("SUNACTIVITY",), "co2": ("co2",)}  # of sets whose other columns say when


@dataclass(frozen=True)
class SeriesSettings:
    """What is read. source: a registered one; "series" reads one .csv or .tsv, "statsmodels" a set that this package
    brings, by its name.

    columns: of the file, in their order; none: all of them. held_out: the share of the rows, at the end of the time,
    that is never trained on. missing: what an empty value is: an error; or read as the last one before it (`filled`),
    and never asked for.
    """

    source: str = "series"
    paths: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    held_out: float = 0.1
    missing: Literal["refuse", "last"] = "refuse"

    def check(self) -> None:
        """ValueError, naming the setting, for what can be none."""
        if not 0 < self.held_out < 1:
            raise ValueError(f"data.held_out={self.held_out}, but a share of the rows is held out: above 0, below 1")

    @property
    def path(self) -> str:
        """The one file, or name."""
        if len(self.paths) != 1:
            raise ValueError(
                f"a series comes from one file, or is one set: --data FILE.csv, not "
                f"{', '.join(self.paths) or 'nothing'}"
            )
        return self.paths[0]


@dataclass(frozen=True)
class TimeSeries:
    """values: normalised, fp32 [T, C], of which the first `split` rows are trained on. known: which of them stood in
    the table, bool [T, C]; None: all. digest: of the numbers, of what is known, of the split, and of the processor."""

    values: np.ndarray
    split: int
    processor: Series
    digest: str
    notices: tuple[str, ...] = ()
    known: np.ndarray | None = None

    def learned(self, length: int, *, ahead: int, past: float) -> Stretches:
        """Rows to train on. ValueError where the part is shorter than a row."""
        if self.split < length + 2 or len(self.values) - self.split < 2:
            raise ValueError(
                f"the series has {len(self.values):,} rows, {self.split:,} to train on, and a row of the model has "
                f"{length} places: too few; give more, or set model.context lower (data.held_out is the rest)"
            )
        known = None if self.known is None else self.known[: self.split]
        return learned(self.values[: self.split], length, ahead=ahead, past=past, known=known)

    def held_out(self, length: int, *, ahead: int, past: float, times: int) -> Stretches:
        """Rows that ask for what is held out."""
        return held_out(self.values, self.split, length, ahead=ahead, past=past, times=times, known=self.known)


SERIES_SOURCES: Registry[Callable[[SeriesSettings], Table]] = Registry("source of series", "weft.series_sources", ())


def prepare_series(settings: SeriesSettings, processor: Series | None = None, say: Say = quiet) -> TimeSeries:
    """A series, split by time. processor: the one there is, whose columns are read; None: one is fitted to the part
    that is trained on. ValueError for settings and files that give none; Unfit for other columns than the
    processor's."""
    settings.check()
    table = SERIES_SOURCES.get(settings.source)(settings)
    if processor is not None and table.columns != processor.columns:
        raise Unfit(
            f"the columns are {', '.join(table.columns)}, and the model reads {', '.join(processor.columns)}: set "
            f"data.columns={','.join(processor.columns)}"
        )
    count = len(table.values)
    split = count - max(1, round(count * settings.held_out))
    whole = filled(table.values, table.columns)
    known = None if whole.known.all() else whole.known
    if known is not None:
        _check_known(known, split, table.columns)
    processor = processor or Series.of(Table(table.columns, whole.values[:split]))
    digest = hashlib.sha256(repr((processor, split)).encode() + whole.values.tobytes())
    digest.update(b"" if known is None else known.tobytes())
    say(f"{count:,} rows of {len(table.columns)} columns: the first {split:,} to train on, {count - split:,} held out")
    rows, said = processor.rows(whole.values[None])[0], (whole.said(split),) if known is not None else ()
    return TimeSeries(rows, split, processor, digest.hexdigest(), said, known)


def _check_known(known: np.ndarray, split: int, columns: tuple[str, ...]) -> None:
    """ValueError for a column of which nothing is known in what is trained on, where only what is held out could fill
    it; and where nothing at all is known of what is held out."""
    for name, there in zip(columns, known[:split].T, strict=True):
        if not there.any():
            raise ValueError(
                f"{name!r} has no value in the first {split:,} rows, which are trained on: leave it out (data.columns)"
            )
    if not known[split:].any():
        raise ValueError(
            f"the last {len(known) - split:,} rows, which are held out, have no value: set data.held_out higher"
        )


class Filled(NamedTuple):
    """values: fp64 [T, C] without gaps; known: where there was none, bool [T, C]."""

    values: np.ndarray
    known: np.ndarray

    def said(self, split: int | None = None) -> str:
        """How many gaps there were, and what stands in them. split: the row from which on rows are held out."""
        missing, first = int((~self.known).sum()), int((~np.maximum.accumulate(self.known, axis=0)).sum())
        held = "" if split is None else f", {int((~self.known[split:]).sum()):,} of them held out,"
        begin = f", {first:,} before any other as the first one behind" if first else ""
        return f"{missing:,} missing values{held} are as the last one before them{begin}; none of them is scored"


def filled(values: np.ndarray, columns: tuple[str, ...]) -> Filled:
    """Numbers [T, C], NaN where one is missing, with the last one before it in its place; before a column's first with
    that first one, as there is no other. A line to the next one would tell what follows. ValueError naming a column
    that has nothing else."""
    found, missing = values.copy(), np.isnan(values)
    for number, name in enumerate(columns):
        gaps = missing[:, number]
        if gaps.all():
            raise ValueError(f"{name!r} has no value in {len(values):,} rows: leave it out (data.columns)")
        if gaps.any():
            last = np.maximum.accumulate(np.where(gaps, -1, np.arange(len(values))))  # [T], of the last one there is
            found[:, number] = values[np.where(last < 0, np.argmin(gaps), last), number]
    return Filled(found, ~missing)


def series(settings: SeriesSettings) -> Table:
    """The columns of a file."""
    return read_table(Path(settings.path), settings.columns or None, gaps=settings.missing == "last")


def shipped(settings: SeriesSettings) -> Table:
    """The columns of a set of statsmodels, of which nothing is imported. ValueError where it is not installed, or has
    no such set."""
    found = importlib.util.find_spec("statsmodels")
    if found is None or found.origin is None:
        raise ValueError("these series come with statsmodels, which is not installed: pip install 'weft[series]'")
    folder, name = Path(found.origin).parent / "datasets", settings.path
    files = {path.stem: path for path in sorted(folder.glob("*/*.csv"))}
    if name not in files:
        raise ValueError(f"statsmodels has no set {name!r} (data.paths); {suggest(name, files)}")
    columns = settings.columns or COLUMNS.get(name)
    return read_table(files[name], columns, gaps=settings.missing == "last")


def made(settings: SeriesSettings) -> Table:
    """400 rows made on the spot: three waves that mix, with noise."""
    draw, at = np.random.default_rng(0), np.arange(400)[:, None]
    waves = np.sin(at * np.array([0.2, 0.31, 0.53])) @ np.array([[1.0, 0.5, 0.2], [0.3, 1.0, 0.4], [0.2, 0.1, 1.0]])
    return Table(("one", "two", "three"), waves + draw.normal(0, 0.1, waves.shape))


SERIES_SOURCES.register("series", series)
SERIES_SOURCES.register("statsmodels", shipped)
SERIES_SOURCES.register("made_series", made)
