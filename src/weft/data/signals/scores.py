"""From words on a command line to rows of music: chorales in JSON, MIDI files, pieces made on the spot."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weft.batch import Unfit
from weft.data import sides
from weft.data.names import Side, side_above, side_of
from weft.data.progress import counted
from weft.data.signals.listing import files_below
from weft.data.signals.music import read_chorales, read_midi
from weft.data.signals.notation import Encoding, Notation
from weft.data.signals.notes import Note, Piece
from weft.data.signals.pieces import Pieces, shifts
from weft.data.sources import Say, quiet
from weft.registry import Registry

MIDI, ARRAYS = (".mid", ".midi"), (".json", ".json.gz")


@dataclass(frozen=True)
class MusicSettings:
    """What is read. source: a registered one; "music" reads JSON files of chorales, MIDI files, and folders of these.

    encoding, voices, longest, per_quarter: how pieces are written, see `Notation`. Of a file of chorales they say what
    a step is: with 4 a quarter it holds the pitch of each of `voices`, with 1 whatever pitches sound (`read_chorales`).
    down, up: by how many semitones a piece is moved at most when it is trained on, as a function of (seed, epoch,
    sample), with no voice leaving its span in all of them; held-out pieces never are.
    """

    source: str = "music"
    paths: tuple[str, ...] = ()
    held_out: float = 0.1  # share of the pieces that is never trained on, where no name says which
    seed: int = 0  # of the split, and of what is drawn
    encoding: Encoding = "voices"
    voices: int = 4
    longest: int = 16
    per_quarter: int = 4
    down: int = 5
    up: int = 6

    def check(self) -> None:
        """ValueError, naming the setting, for what can be none."""
        if not 0 < self.held_out < 1:
            raise ValueError(f"data.held_out={self.held_out}, but a share of the pieces is held out: above 0, below 1")
        if not (0 <= self.down < 128 and 0 <= self.up < 128):
            raise ValueError(
                f"data.down={self.down}, data.up={self.up}: pieces are moved by 0 to 127 semitones either way"
            )
        self.notation()

    def notation(self) -> Notation:
        """How pieces are written."""
        return Notation(self.encoding, self.voices, self.longest, self.per_quarter)


@dataclass(frozen=True)
class Named:
    """A piece. name: what it is called; side: of which set it is, None where nobody said."""

    name: str
    piece: Piece
    side: Side | None = None


@dataclass(frozen=True)
class Music:
    """Rows to train on and rows held out, and what made them. steps: of all held-out pieces. digest: of the ids of
    both, and of the settings. split: of what the pieces are called, see `sides.digest`."""

    train: Pieces
    held_out: Pieces
    notation: Notation
    steps: int
    digest: str
    split: str
    notices: tuple[str, ...] = ()


MUSIC_SOURCES: Registry[Callable[[MusicSettings, Say], list[Named]]] = Registry(
    "source of music", "weft.music_sources", ()
)


def prepare_music(settings: MusicSettings, context: int, notation: Notation | None = None, say: Say = quiet) -> Music:
    """Rows of at most `context` places. notation: the one there is; None: the settings'. ValueError for settings and
    files that give none, naming the piece that cannot be written."""
    settings.check()
    notation = notation or settings.notation()
    found = MUSIC_SOURCES.get(settings.source)(settings, say)
    used, notices = sides.without_tests([one.name for one in found], [one.side for one in found], "pieces")
    found = [found[at] for at in np.flatnonzero(used)]
    held, names = held_of(found, settings), [one.name for one in found]
    sides.check_both(held, "pieces", sides.way_out([one.side for one in found], settings.held_out))
    ids = written(found, notation)
    pieces = [notation.fitted(one.piece) for one, out in zip(found, held, strict=True) if not out]
    moves = shifts(pieces, down=settings.down, up=settings.up)
    learned, kept = ([row for row, out in zip(ids, held, strict=True) if out == side] for side in (False, True))
    train = Pieces(learned, notation, context, shifts=moves, seed=settings.seed)
    say(f"{len(learned):,} pieces to train on, {len(kept):,} held out, written as {settings.encoding}")
    digest = hashlib.sha256(repr((notation, moves, held.tolist(), settings.seed)).encode())
    for row in ids:
        digest.update(row.tobytes())
    steps = sum(one.piece.steps for one, out in zip(found, held, strict=True) if out)
    split = sides.digest(names, held)
    return Music(train, Pieces(kept, notation, context), notation, steps, digest.hexdigest(), split, notices)


def held_of(found: Sequence[Named], settings: MusicSettings) -> np.ndarray:
    """Which pieces are held out, bool [N], see `sides.held_out`."""
    names, said = [one.name for one in found], [one.side for one in found]
    return sides.held_out(names, said, settings.held_out, settings.seed)


def written(pieces: Iterable[Named], notation: Notation) -> list[np.ndarray]:
    """The ids of each piece. Unfit, naming the first that cannot be written."""
    found = list[np.ndarray]()
    for one in pieces:
        try:
            found.append(notation.encode(one.piece))
        except ValueError as error:
            raise Unfit(f"{one.name}: {error}") from error
    return found


def read_pieces(path: Path, notation: Notation, *, say: Say = quiet) -> list[Named]:
    """The pieces in a file of chorales, a MIDI file, or a folder of either, in the order of their names; of a folder
    all MIDI files in it and below. The name of a part of chorales says its side, and of MIDI files that of a folder
    inside: what a song is called is no word on it (take_the_a_train.mid). ValueError where there is none, and naming a
    file that is damaged."""
    if path.name.lower().endswith(ARRAYS):
        parts = read_chorales(path, voices=None if notation.per_quarter == 1 else notation.voices)
        return [
            Named(f"{path.name}, {part}, piece {number}", piece, side_of(part))
            for part, pieces in parts.items()
            for number, piece in enumerate(pieces, 1)
        ]
    if not path.is_dir():
        if path.suffix.lower() not in MIDI:
            raise ValueError(f"{path} is no music: {', '.join((*MIDI, *ARRAYS))} and folders of them are")
        return [Named(path.name, read_midi(path, per_quarter=notation.per_quarter))]
    files = files_below(path, MIDI)
    if not files:
        arrays = sorted(found for found in path.iterdir() if found.name.lower().endswith(ARRAYS))
        if len(arrays) == 1:
            return read_pieces(arrays[0], notation, say=say)
        several = f"; of {', '.join(found.name for found in arrays)} name one" if arrays else ""
        raise ValueError(f"{path} holds no MIDI files ({', '.join(MIDI)}){several}")
    advance, pieces = counted(say, "read", len(files)), list[Named]()
    for file in files:
        inside = file.relative_to(path).as_posix()
        pieces.append(Named(inside, read_midi(file, per_quarter=notation.per_quarter), side_above(inside)))
        advance(1)
    return pieces


def music(settings: MusicSettings, say: Say) -> list[Named]:
    """Of all paths."""
    if not settings.paths:
        raise ValueError("music comes from files: --data FILE.json.gz of chorales, or a folder of MIDI files")
    notation = settings.notation()
    return [one for path in settings.paths for one in read_pieces(Path(path), notation, say=say)]


def made_music(settings: MusicSettings, say: Say) -> list[Named]:
    """24 pieces made on the spot: chords of three or four quarters each that wander about, a voice a note of theirs."""
    draw, quarter, pieces = np.random.default_rng(settings.seed), settings.per_quarter, list[Named]()
    for number in range(24):
        notes, root = list[Note](), int(draw.integers(48, 60))
        for bar in range(8):
            root += int(draw.choice([-5, -2, 2, 5]))
            root += 12 * ((root < 43) - (root > 64))
            for voice in range(settings.voices):
                pitch = root + (24, 16, 7, -5)[voice % 4]
                start, half = 4 * bar * quarter, 2 * quarter
                notes += [
                    Note(start, pitch, start + half, voice),
                    Note(start + half, pitch + 2, start + 2 * half, voice),
                ]
        pieces.append(Named(f"made piece {number + 1}", Piece(tuple(notes), 32 * quarter, quarter)))
    return pieces


MUSIC_SOURCES.register("music", music)
MUSIC_SOURCES.register("made_music", made_music)
