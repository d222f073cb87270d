"""Music in and out: chorales as arrays in JSON, and MIDI files. symusic is an extra, imported where a file is read."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from weft.data.signals.notes import PITCHES, Note, Piece
from weft.files import DamagedFile, write_bytes

MOST_BYTES = 64 * 2**20  # of a file of arrays, unpacked
MOST_MIDI = 8 * 2**20  # bytes; an hour of piano has a quarter of a megabyte
MOST_NOTES, MOST_STEPS = 500_000, 2**22  # of a MIDI file; a few bytes can say that one ends in a year
TICKS = 120  # of a step, in files that are written
LOUDNESS = 80  # of every note that is written, of 1 to 127


def read_chorales(path: Path, *, voices: int | None = 4) -> dict[str, list[Piece]]:
    """The pieces of each part of a .json or .json.gz {"train": [piece, …], …}, a piece a list of steps.

    voices: a step holds the pitch of each voice, -1 where it is silent, in sixteenths (czhuang's JSB chorales); None: a
    step holds whatever pitches sound, in quarters (Boulanger-Lewandowski's piano rolls). A pitch that goes on in the
    next step is one note: arrays do not tell it from one that is struck again. DamagedFile names the file, the piece
    and the step.
    """
    data = _read_json(path)
    if not isinstance(data, dict) or not all(isinstance(pieces, list) for pieces in data.values()):
        raise DamagedFile(f"{path} holds no object of lists of pieces, as train and valid are")
    return {
        str(part): [_piece(steps, voices, f"{path}, {part}, piece {number}") for number, steps in enumerate(pieces, 1)]
        for part, pieces in data.items()
    }


def _piece(steps: Any, voices: int | None, where: str) -> Piece:
    """A piece of the pitches of each step."""
    if not isinstance(steps, list) or not steps:
        raise DamagedFile(f"{where} is no list of steps")
    lanes: dict[int, list[int]] = {}  # of each voice, or each pitch, what sounds at each step; -1: nothing
    for number, step in enumerate(steps):
        if not isinstance(step, list) or any(type(pitch) is not int for pitch in step):
            raise DamagedFile(f"{where}, step {number + 1} is {str(step)[:60]}, no list of pitches")
        if wrong := [pitch for pitch in step if not (-1 if voices else 0) <= pitch < PITCHES]:
            raise DamagedFile(f"{where}, step {number + 1} has the pitch {wrong[0]}: there are 0 to {PITCHES - 1}")
        if voices is not None and len(step) != voices:
            raise DamagedFile(
                f"{where}, step {number + 1} has {len(step)} voices, not {voices}: say how many (data.voices), "
                "or, where steps hold whatever pitches sound, set data.per_quarter=1"
            )
        for voice, pitch in enumerate(step) if voices else ((pitch, pitch) for pitch in step):
            lanes.setdefault(voice, [-1] * len(steps))[number] = pitch
    notes = tuple(
        Note(start, pitch, end, voice if voices else 0)
        for voice, lane in lanes.items()
        for start, end, pitch in _runs(lane)
    )
    return Piece(notes, len(steps), 4 if voices else 1)


def _runs(lane: Sequence[int]) -> list[tuple[int, int, int]]:
    """Where one pitch sounds on end: its first step, the step behind its last, and the pitch."""
    changes = [step for step in range(len(lane)) if step == 0 or lane[step] != lane[step - 1]]
    return [
        (start, end, lane[start])
        for start, end in zip(changes, [*changes[1:], len(lane)], strict=True)
        if lane[start] >= 0
    ]


def _read_json(path: Path) -> Any:
    """The data of a file of JSON, packed or not, of a bounded size."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedFile(f"{path} is a damaged .gz file: {error}") from error
    except OSError as error:
        raise DamagedFile(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > MOST_BYTES:
        raise DamagedFile(f"{path} is larger than the {MOST_BYTES:,} bytes that are read: part it")
    if not data:
        raise DamagedFile(f"{path} is empty")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path} is no JSON: {error}") from error


def read_midi(path: Path, *, per_quarter: int = 4) -> Piece:
    """The notes of a MIDI file, each moved to the nearest step of a grid and at least one step long, without drums.

    A track with notes is a voice, numbered in the order of the file. Tempo and loudness are not read. DamagedFile names
    the file for what is empty, damaged, no MIDI, or larger than MOST_MIDI bytes, MOST_NOTES notes or MOST_STEPS steps.
    """
    score = _parsed(path)
    ticks = int(score.ticks_per_quarter)
    if not 0 < ticks < 2**15:
        raise DamagedFile(f"{path} counts {ticks} ticks a quarter: its times mean nothing")
    tracks = [track.notes for track in score.tracks if len(track.notes) and not track.is_drum]
    if (count := sum(map(len, tracks))) > MOST_NOTES:
        raise DamagedFile(f"{path} has {count:,} notes, and at most {MOST_NOTES:,} are read: cut it into pieces")
    if not count:
        if any(len(track.notes) for track in score.tracks):
            raise DamagedFile(f"{path} has notes of drums alone, and drums are left out: name another")
        raise DamagedFile(f"{path} has no notes")
    notes = list[Note]()
    for voice, track in enumerate(tracks):
        for note in track:
            start, end = (_nearest(time * per_quarter, ticks) for time in (note.time, note.time + note.duration))
            if note.time < 0 or note.duration < 0 or end > MOST_STEPS:
                raise DamagedFile(
                    f"{path} has a note from tick {note.time} to {note.time + note.duration}, and pieces of at most "
                    f"{MOST_STEPS:,} steps are read"
                )
            notes.append(Note(start, int(note.pitch), max(end, start + 1), voice))
    return Piece(tuple(notes), max(note.end for note in notes), per_quarter)


def _nearest(number: int, unit: int) -> int:
    """number / unit, rounded; halves up."""
    return (2 * number + unit) // (2 * unit)


def _symusic() -> Any:
    """The library. ValueError where it is missing."""
    try:
        import symusic
    except ImportError as error:
        raise ValueError("MIDI files are read and written with symusic: pip install 'weft[music]'") from error
    return symusic


def _parsed(path: Path) -> Any:
    """symusic's score of a file, in ticks."""
    symusic = _symusic()
    try:
        with path.open("rb") as file:
            data = file.read(MOST_MIDI + 1)
    except OSError as error:
        raise DamagedFile(f"{path} cannot be read: {error.strerror or error}") from error
    if not data:
        raise DamagedFile(f"{path} is empty")
    if len(data) > MOST_MIDI:
        raise DamagedFile(f"{path} is larger than the {MOST_MIDI:,} bytes of a MIDI file that are read")
    if not data.startswith(b"MThd"):
        raise DamagedFile(f"{path} is no MIDI file: those begin with MThd")
    try:
        return symusic.Score.from_midi(data, ttype="tick")
    except Exception as error:  # whatever its parser throws: of its own kinds there are several
        raise DamagedFile(f"{path} is a damaged MIDI file: {error}") from error


def write_midi(piece: Piece, path: Path, *, tempo: float = 120.0) -> None:
    """A piece as a MIDI file, a track for each voice that has notes; tempo: quarters a minute. Silence at its end is
    not written. ValueError for a tempo that is none, or more steps a quarter than a file can tell apart."""
    if not 10 <= tempo <= 1000:
        raise ValueError(f"tempo = {tempo}, but it is a number of quarters a minute, 10 to 1000")
    if piece.per_quarter * TICKS >= 2**15:
        raise ValueError(f"per_quarter = {piece.per_quarter}, but a file tells at most {2**15 // TICKS} steps apart")
    symusic = _symusic()
    score = symusic.Score(piece.per_quarter * TICKS)
    score.tempos.append(symusic.Tempo(0, tempo))
    for voice in sorted({note.voice for note in piece.notes}):
        track = symusic.Track(name=f"voice {voice + 1}")
        for note in piece.notes:
            if note.voice == voice:
                length = (note.end - note.start) * TICKS
                track.notes.append(symusic.Note(note.start * TICKS, length, note.pitch, LOUDNESS))
        score.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, score.dumps_midi())
