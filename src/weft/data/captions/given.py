"""Tables of captions, their pictures, and what a person names to be asked about."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weft.data.captions.dataset import Row
from weft.data.captions.settings import CaptionSettings
from weft.data.progress import counted
from weft.data.reading import lines_of, open_text, packed, read_text
from weft.data.records import FIRST_ROW, no_column, object_rows, record_kind, table_rows
from weft.data.signals.given import given_pictures
from weft.data.signals.listing import files_below
from weft.data.signals.pictures import Patches, opened
from weft.data.signals.prepare import ENDINGS
from weft.data.sources import Say, quiet
from weft.files import DamagedFile

MOST_BYTES = 1 << 31  # of an array of pictures
TABLES = (".tsv", ".csv", ".jsonl")


@dataclass(frozen=True)
class Line:
    """A row of a table, and where it stands, for messages."""

    where: str
    row: Row


def read_table(path: Path) -> list[Line]:
    """Every row of a .csv, .tsv or .jsonl (also .gz) with its values by column, texts all. DamagedFile naming the line
    of what is no row, ValueError for a file without any."""
    kind, found = record_kind(path), list[Line]()
    if kind not in TABLES:
        raise ValueError(f"{path} is no table of captions: name a .tsv, .csv or .jsonl, or a folder")
    if kind == ".jsonl":
        for line, values in object_rows(path):
            found.append(Line(f"{path}, line {line}", {name: _text(value) for name, value in values.items()}))
    else:
        with open_text(path, newline="") as lines:
            rows = table_rows(lines, path, tabs=kind == ".tsv")
            header = next(rows, (1, list[str]()))[1]
            for line, row in rows:
                if len(row) != len(header):
                    raise DamagedFile(
                        f"{path}, line {line}: the row has {len(row)} values and the header {len(header)}: mend it"
                    )
                found.append(Line(f"{path}, line {line}", dict(zip(header, row, strict=True))))
    if not found:
        raise ValueError(f"{path} has no rows: there are no captions in it")
    return found


def _text(value: object) -> str:
    return "" if value is None else str(value)


def column(lines: Sequence[Line], name: str, path: Path, choose: str) -> list[str]:
    """A column's values, none of them empty. ValueError where there is no such column, DamagedFile naming the line of
    an empty one."""
    found = list[str]()
    for line in lines:
        if name not in line.row:
            raise no_column(path, name, list(line.row), FIRST_ROW, choose)
        if not line.row[name].strip():
            raise DamagedFile(f"{line.where}: {name!r} is empty: fill it in, or leave the row out")
        found.append(line.row[name])
    return found


def read_pictures(path: Path, lines: Sequence[Line], settings: CaptionSettings, fit: Patches, say: Say) -> np.ndarray:
    """The picture of each row, uint8 [N, image, image, channels]. Errors name the line of the table."""
    there = _where(path, lines, settings)
    if there.is_file():
        return _of_array(there, path, len(lines), fit)
    names = column(lines, settings.image_column, path, "set data.image_column, or data.pictures=FILE.npy")
    advance, made = counted(say, "pictures read", len(names)), list[np.ndarray]()
    for line, name in zip(lines, names, strict=True):
        try:
            made.append(fit.read(there / name))
        except ValueError as error:
            raise DamagedFile(f"{line.where}: {error}") from error
        advance(1)
    return np.stack(made)


def _where(path: Path, lines: Sequence[Line], settings: CaptionSettings) -> Path:
    """The folder of a table's pictures, or the array that holds them: what data.pictures names, else what is there."""
    if settings.pictures:
        for there in (Path(settings.pictures), path.parent / settings.pictures):
            if there.exists():
                return there
        raise ValueError(f"data.pictures={settings.pictures}: there is no such folder or .npy, nor beside {path}")
    first = lines[0].row.get(settings.image_column, "")
    if first and (path.parent / first).is_file():
        return path.parent
    arrays = sorted({*path.parent.glob(f"{_stem(path)}*.npy"), *path.parent.glob(f"{_stem(path)}*.npy.gz")})
    if len(arrays) > 1:
        raise ValueError(
            f"{path} has several arrays beside it ({arrays[0].name}, {arrays[1].name} …): set data.pictures"
        )
    return arrays[0] if arrays else path.parent


def _stem(path: Path) -> str:
    return Path(path.stem).stem if packed(path) else path.stem


def read_array(path: Path) -> np.ndarray:
    """Pictures in a .npy, also gzipped: uint8 [N, height, width, channels]. ValueError naming the file for what is
    none, is cut short or larger than MOST_BYTES, which its head says before the rest is read."""
    try:
        with (gzip.open if packed(path) else open)(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            head = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, fortran, dtype = head[version](file)
            if dtype != np.uint8 or fortran or len(shape) != 4:
                raise ValueError(f"it holds {dtype} {list(shape)}, and pictures are uint8 [N, height, width, channels]")
            if (size := int(np.prod(shape, dtype=object))) > MOST_BYTES:
                raise ValueError(f"it says it holds {size:,} bytes, and at most {MOST_BYTES:,} are read")
            data = file.read(size + 1)
        if len(data) != size:
            raise ValueError(f"it says it holds {size:,} bytes and has {len(data):,}")
    except (OSError, EOFError, zlib.error, KeyError, ValueError) as error:
        raise ValueError(f"{path} is no whole array of pictures (.npy): {error}") from error
    return np.frombuffer(data, np.uint8).reshape(shape)


def _of_array(there: Path, path: Path, rows: int, fit: Patches) -> np.ndarray:
    array = read_array(there)
    if len(array) != rows:
        raise ValueError(f"{there} holds {len(array):,} pictures and {path} {rows:,} rows: one each, in one order")
    return sized(array, there, fit)


def sized(array: np.ndarray, path: Path, fit: Patches) -> np.ndarray:
    """As large as the model reads them. ValueError for other channels."""
    if array.shape[-1] != fit.channels:
        raise ValueError(f"{path} holds {array.shape[-1]} channels and the model reads {fit.channels}: give it those")
    return array if array.shape[1:3] == (fit.image, fit.image) else np.stack([fit.fitted(one) for one in array])


def beside(folder: Path, fit: Patches, say: Say) -> tuple[list[Line], list[str], np.ndarray]:
    """Pictures in a folder and those below it, each with its text in a .txt of its name: lines, texts, pixels."""
    files = files_below(folder, ENDINGS)
    if not files:
        raise ValueError(f"{folder} holds no table ({', '.join(TABLES)}) and no pictures ({', '.join(ENDINGS)})")
    lines, texts, made = list[Line](), list[str](), list[np.ndarray]()
    advance = counted(say, "pictures read", len(files))
    for path in files:
        text = path.with_suffix(".txt")
        if not text.is_file():
            raise ValueError(f"{path} has no {text.name} beside it, which would say what it shows")
        said = " ".join(read_text(text, empty=True).split())
        if not said:
            raise DamagedFile(f"{text} is empty: write the caption of {path.name} into it, or move both away")
        lines.append(Line(str(text), {}))
        texts.append(said)
        made.append(fit.fitted(opened(path, fit.channels)))
        advance(1)
    return lines, texts, np.stack(made)


def read_images(path: Path, fit: Patches, say: Say = quiet) -> tuple[tuple[str, ...], np.ndarray]:
    """Pictures that a person names, what each is called and uint8 [N, image, image, channels]: a file, a folder, or an
    array of them (.npy, .npy.gz)."""
    if path.is_file() and (path.suffix == ".npy" or path.name.endswith(".npy.gz")):
        array = sized(read_array(path), path, fit)
        return tuple(f"{path.name}#{number}" for number in range(len(array))), array
    given = given_pictures(path, fit, (), say)
    return given.names, given.signals


def read_lines(path: Path) -> list[str]:
    """A text a line, blank ones left out. ValueError where there is none."""
    texts = [line.strip() for line in lines_of(read_text(path)) if line.strip()]
    if not texts:
        raise ValueError(f"{path} has no text in it")
    return texts
