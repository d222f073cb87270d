"""Spoken digits, as the Free Spoken Digit Dataset names them: digit_speaker_index.wav."""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from weft.data.names import Side
from weft.data.progress import counted
from weft.data.signals.listing import files_below
from weft.data.signals.recordings import SOUND_SOURCES, Recording
from weft.data.signals.sound import read_sound
from weft.data.signals.speech import SpeechSettings
from weft.data.sources import Say, quiet
from weft.files import DamagedFile

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RULE = re.compile(r"(\d)_([A-Za-z][A-Za-z0-9-]*)_(\d+)\.wav")
FIRST_TRAINED = 5  # the recordings 0 to 4 of each digit and speaker are held out, as those who made them have it
MOST, MOST_BYTES, MOST_FILES = 16 << 20, 1 << 30, 100_000  # bytes of a sound, and of all of them; and how many


def spoken_digits(settings: SpeechSettings, say: Say = quiet) -> list[Recording]:
    """The recordings in a folder, or in a .tar or .tar.gz of it. Held out are all of one speaker
    (data.held_out_speaker), else the first five of each digit and speaker."""
    if len(settings.paths) != 1:
        given = ", ".join(settings.paths) or "nothing"
        raise ValueError(f"spoken digits come from one folder or one .tar.gz (--data PATH), not {given}")
    path, found = Path(settings.paths[0]), list[Recording]()
    if not path.exists():
        raise ValueError(f"there is no {path}: name a folder of digit_speaker_index.wav, or a .tar.gz of it")
    advance = counted(say, "sounds read", 0)
    for name, data in _of_folder(path) if path.is_dir() else _of_archive(path):
        match = RULE.fullmatch(name)
        if match is None:
            continue
        digit, speaker, index = match.groups()
        samples = read_sound(data, rate=settings.rate, name=f"{path}: {name}")
        side = Side.HELD_OUT if int(index) < FIRST_TRAINED else Side.TRAIN
        found.append(Recording(name, samples, NAMES[int(digit)], speaker, side))
        advance(1)
    if not found:
        raise ValueError(f"{path} holds no recordings called digit_speaker_index.wav, 7_anna_12.wav say")
    return found


def _of_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    for file in files_below(path, (".wav",)):
        if file.stat().st_size > MOST:
            raise ValueError(f"{file} has {file.stat().st_size:,} bytes; a spoken digit has at most {MOST:,}")
        yield file.name, file.read_bytes()


def _of_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    """Its files in the order of their names. ValueError for more, or larger ones, than spoken digits can be;
    DamagedFile for a broken archive."""
    found, size = dict[str, bytes](), 0
    try:
        with tarfile.open(path, "r:*") as archive:
            for count, member in enumerate(archive):
                size += member.size
                if member.size > MOST or size > MOST_BYTES or count > MOST_FILES:
                    raise ValueError(
                        f"{path} holds {member.name} of {member.size:,} bytes, as number {count + 1:,} of {size:,} "
                        f"bytes in all: at most {MOST:,} a sound, {MOST_FILES:,} sounds and {MOST_BYTES:,} bytes"
                    )
                data = archive.extractfile(member) if member.isfile() else None
                if data is not None:
                    found[member.name.rpartition("/")[2]] = data.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise DamagedFile(f"{path} is no .tar or .tar.gz that can be read, or is damaged: {error}") from error
    return iter(sorted(found.items()))


SOUND_SOURCES.register("spoken_digits", spoken_digits)
