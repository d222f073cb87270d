"""From words on a command line to rows of a series: read, fill, split by time, normalise."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

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
    that is never trained on. missing: what an empty value is: an error; or the last one before it, in either part
    by itself.
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
    """values: normalised, fp32 [T, C], of which the first `split` rows are trained on. digest: of the numbers, of the
    split, and of the processor."""

    values: np.ndarray
    split: int
    processor: Series
    digest: str
    notices: tuple[str, ...] = ()

    def learned(self, length: int, *, ahead: int, past: float) -> Stretches:
        """Rows to train on. ValueError where the part is shorter than a row."""
        if self.split < length + 2 or len(self.values) - self.split < 2:
            raise ValueError(
                f"the series has {len(self.values):,} rows, {self.split:,} to train on, and a row of the model has "
                f"{length} places: too few; give more, or set model.context lower (data.held_out is the rest)"
            )
        return learned(self.values[: self.split], length, ahead=ahead, past=past)

    def held_out(self, length: int, *, ahead: int, past: float, times: int) -> Stretches:
        """Rows that ask for what is held out."""
        return held_out(self.values, self.split, length, ahead=ahead, past=past, times=times)


SERIES_SOURCES: Registry[Callable[[SeriesSettings], Table]] = Registry("source of series", "weft.series_sources", ())


def prepare_series(settings: SeriesSettings, processor: Series | None = None, say: Say = quiet) -> TimeSeries:
    """A series, split by time. processor: the one there is, whose columns are read; None: one is fitted to the part
    that is trained on. ValueError for settings and files that give none."""
    settings.check()
    table = SERIES_SOURCES.get(settings.source)(settings)
    if processor is not None and table.columns != processor.columns:
        raise ValueError(
            f"the columns are {', '.join(table.columns)}, and the model reads {', '.join(processor.columns)}: set "
            f"data.columns={','.join(processor.columns)}"
        )
    count = len(table.values)
    split = count - max(1, round(count * settings.held_out))
    values, notices = table.values.copy(), list[str]()
    for part, called in ((slice(0, split), "to train on"), (slice(split, count), "held out")):
        values[part], missing = filled(values[part], table.columns)
        if missing:
            notices.append(f"{missing:,} missing values of what is {called} are as the last one before them")
    processor = processor or Series.of(Table(table.columns, values[:split]))
    digest = hashlib.sha256(repr((processor, split)).encode() + values.tobytes()).hexdigest()
    say(f"{count:,} rows of {len(table.columns)} columns: the first {split:,} to train on, {count - split:,} held out")
    return TimeSeries(processor.rows(values[None])[0], split, processor, digest, tuple(notices))


def filled(values: np.ndarray, columns: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """Numbers [T, C], NaN where one is missing, with the last one before it in its place, at the beginning the first
    one behind it; and how many there were. A line to the next one would tell what follows. ValueError naming a column
    that has nothing else."""
    found, missing = values.copy(), np.isnan(values)
    for number, name in enumerate(columns):
        gaps = missing[:, number]
        if gaps.all():
            raise ValueError(f"{name!r} has no value in {len(values):,} rows: leave it out (data.columns)")
        if gaps.any():
            last = np.maximum.accumulate(np.where(gaps, -1, np.arange(len(values))))  # [T], of the last one there is
            found[:, number] = values[np.where(last < 0, np.argmin(gaps), last), number]
    return found, int(missing.sum())


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
