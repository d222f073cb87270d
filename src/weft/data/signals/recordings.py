"""Sounds with what is said in them: a folder, a table, names that say it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weft.data.names import Side, side_above, side_of
from weft.data.progress import counted
from weft.data.records import RECORDS, read_records, record_kind
from weft.data.signals.listing import files_below, tables_in
from weft.data.signals.sound import read_sound
from weft.data.signals.speech import SpeechSettings
from weft.data.sources import Say, quiet
from weft.files import DamagedFile
from weft.registry import Registry

SOUNDS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64")
SPEAKER = "speaker"  # the column of a table that says who speaks, where it has one
_TABLES = RECORDS - {".parquet"}
_NUMBER = re.compile(r"[ _-]*\d+$")


@dataclass(frozen=True, eq=False)
class Recording:
    """name: what a person calls it; samples: fp32 [samples]; text: what is said, None where nobody says it; speaker: ""
    where nobody says who; side: which set it is of, None where nobody says."""

    name: str
    samples: np.ndarray
    text: str | None
    speaker: str = ""
    side: Side | None = None


SOUND_SOURCES: Registry[Callable[[SpeechSettings, Say], list[Recording]]] = Registry(
    "source of sounds", "weft.sound_sources", ("weft.data.signals.digits", "weft.data.signals.tones")
)


def sounds(settings: SpeechSettings, say: Say = quiet) -> list[Recording]:
    """Sounds that are named (--data): tables (.tsv, .csv, .jsonl) with a column of files and one of transcripts,
    folders with such a table or without (then a file's name says what is said in it, or a .txt beside it), and sounds.
    ValueError or DamagedFile names the file, and of a table the line."""
    if not settings.paths:
        raise ValueError("sounds come from a folder, or a table of files and transcripts: --data FOLDER")
    found = [one for path in settings.paths for one in _of_path(Path(path), settings, say)]
    if not found:
        raise ValueError(f"{', '.join(settings.paths)} hold no sounds ({', '.join(SOUNDS)})")
    return found


def _of_path(path: Path, settings: SpeechSettings, say: Say) -> list[Recording]:
    if path.is_dir():
        tables = tables_in(path, _TABLES)
        if tables:
            return [one for table in tables for one in _of_table(table, settings, say)]
        return _of_files(files_below(path, SOUNDS), path, settings, say)
    if not path.exists():
        raise ValueError(f"there is no {path}: name a folder of sounds, a table of them, or a sound")
    return _of_table(path, settings, say) if record_kind(path) in _TABLES else _of_files([path], None, settings, say)


def _of_table(table: Path, settings: SpeechSettings, say: Say) -> list[Recording]:
    """Its rows, on the side that its name says."""
    side, rows = side_of(table.name), list(_rows(table, settings))
    advance, found = counted(say, "sounds read", len(rows)), list[Recording]()
    for line, name, text, speaker in rows:
        where = f"{table}, line {line}"
        if not text or not text.strip():
            raise DamagedFile(f"{where}: nothing says what is said in {name or 'a sound'}: fill in {settings.column!r}")
        if not name:
            raise DamagedFile(f"{where}: no file is named in the column {settings.file!r}: mend the line")
        path = table.parent / name
        if not path.is_file():
            raise DamagedFile(f"{where}: {path} is no file: name sounds from the table's own folder on")
        try:
            samples = read_sound(path, rate=settings.rate)
        except ValueError as error:
            raise DamagedFile(f"{where}: {error}") from error
        found.append(Recording(name, samples, text.strip(), speaker or "", side))
        advance(1)
    return found


def _rows(table: Path, settings: SpeechSettings) -> Iterator[tuple[int, str | None, str | None, str | None]]:
    """Line, file, transcript and speaker of each row."""
    files = read_records(table, settings.file)
    texts = read_records(table, settings.column)
    speakers = list[str | None]()
    try:
        speakers = [row.text for row in read_records(table, SPEAKER)]
    except ValueError:
        if settings.held_out_speaker:
            raise
    for number, (file, text) in enumerate(zip(files, texts, strict=True)):
        yield file.line, file.text, text.text, speakers[number] if speakers else None


def _of_files(files: Sequence[Path], folder: Path | None, settings: SpeechSettings, say: Say) -> list[Recording]:
    advance, found = counted(say, "sounds read", len(files)), list[Recording]()
    for path in files:
        name = path.relative_to(folder).as_posix() if folder else path.name
        side = side_above(name) if folder else None  # its own name says what is said in it
        found.append(Recording(name, read_sound(path, rate=settings.rate), said_beside(path), side=side))
        advance(1)
    return found


def said_beside(path: Path) -> str | None:
    """What is said in a sound: by a .txt of its name beside it, else by its name, with spaces for _ and without the
    number at its end. None where that leaves nothing. DamagedFile for a .txt that is empty."""
    beside = path.with_suffix(".txt")
    if beside.is_file():
        text = " ".join(beside.read_text(encoding="utf-8", errors="replace").split())
        if not text:
            raise DamagedFile(f"{beside} is empty, and it is to say what is said in {path.name}")
        return text
    return _NUMBER.sub("", path.stem).replace("_", " ").strip() or None


SOUND_SOURCES.register("sounds", sounds)
