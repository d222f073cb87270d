"""Notes on a grid of steps, and the two ways in which they are written as rows of ids; both are exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

END = 0  # ends a piece, and begins one
PITCHES = 128  # as MIDI numbers them: 60 is the middle C


@dataclass(frozen=True, order=True)
class Note:
    """Sounds from the beginning of step `start` to that of step `end`. ValueError for one that sounds nowhere."""

    start: int
    pitch: int
    end: int
    voice: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.pitch < PITCHES or not 0 <= self.start < self.end or self.voice < 0:
            raise ValueError(f"{self} is no note: pitches are 0 to {PITCHES - 1}, and it ends after it began")


@dataclass(frozen=True)
class Piece:
    """notes: in the order of their starts, of one start by pitch. steps: how long it is, silence at its end included.
    per_quarter: steps of a quarter note. ValueError for notes that go on beyond it."""

    notes: tuple[Note, ...]
    steps: int
    per_quarter: int = 4

    def __post_init__(self) -> None:
        if self.per_quarter < 1:
            raise ValueError(f"per_quarter = {self.per_quarter}, but a quarter has at least 1 step")
        if (last := max((note.end for note in self.notes), default=0)) > self.steps:
            raise ValueError(f"a piece of {self.steps} steps has a note that ends at {last}")
        object.__setattr__(self, "notes", tuple(sorted(self.notes)))

    def settled(self) -> Piece:
        """In one voice, each pitch sounding once at a time: of notes that begin together the longest is left, and one
        that sounds when its pitch is struck again ends there."""
        kept = dict[int, list[Note]]()
        for note in self.notes:
            before = kept.setdefault(note.pitch, [])
            if before and before[-1].start == note.start:
                note = max(note, before.pop(), key=lambda one: one.end)
            elif before and before[-1].end > note.start:
                before[-1] = replace(before[-1], end=note.start)
            before.append(replace(note, voice=0))
        return replace(self, notes=tuple(note for notes in kept.values() for note in notes))


@dataclass(frozen=True)
class Voices:
    """A grid (Huang et al. 2018, §4.1): for each step an id of each voice, the first voice's first. 1: it is silent; 2:
    its note goes on; 3 + pitch: a note begins.

    Read back, a note that goes on though none began is silence, and a step that is not whole is left out.
    """

    voices: int = 4
    rest, hold, first = 1, 2, 3

    def __post_init__(self) -> None:
        if self.voices < 1:
            raise ValueError(f"voices = {self.voices}, but there is at least 1")

    @property
    def vocab(self) -> int:
        """How many ids there are."""
        return self.first + PITCHES

    def pitched(self, ids: np.ndarray) -> np.ndarray:
        """Which ids stand for a pitch, bool as ids; those of a higher one are higher by as much."""
        return ids >= self.first

    def encode(self, piece: Piece) -> list[int]:
        """The ids of a piece, none that ends it. ValueError for a voice that is not there, or sounds twice at once."""
        grid = [[self.rest] * self.voices for _ in range(piece.steps)]
        for note in piece.notes:
            if note.voice >= self.voices:
                raise ValueError(f"{note} is of a voice beyond the {self.voices} there are: ask for more")
            for step in range(note.start, note.end):
                if grid[step][note.voice] != self.rest:
                    raise ValueError(f"{note} begins while its voice sounds: write the piece as events, or part voices")
                grid[step][note.voice] = self.hold
            grid[note.start][note.voice] = self.first + note.pitch
        return [number for step in grid for number in step]

    def decode(self, ids: Sequence[int], *, per_quarter: int = 4) -> Piece:
        """What ids stand for, up to the one that ends the piece. ValueError for ids that there are not."""
        ids = _before_end(ids, self.vocab)
        steps, notes = len(ids) // self.voices, list[Note]()
        for voice in range(self.voices):
            begun: tuple[int, int] | None = None  # where the note that sounds began, and its pitch
            for step, number in enumerate([*ids[voice : steps * self.voices : self.voices], self.rest]):
                if number != self.hold:
                    if begun is not None:
                        notes.append(Note(begun[0], begun[1], step, voice))
                    begun = (step, number - self.first) if number >= self.first else None
        return Piece(tuple(notes), steps, per_quarter)


@dataclass(frozen=True)
class Events:
    """What happens, one after another (Oore et al. 2018; Huang et al. 2018, §4.2, without loudness): 1 + pitch begins a
    note, 129 + pitch ends it, 256 + n lets n steps pass, at most `longest`. At one step notes end before others begin,
    low ones first; a long wait is as many of the longest as fit, then the rest.

    Read back, an end of what does not sound is passed over, what is begun anew ends first, what never sounds for a step
    is left out, and what still sounds at the end ends there. There are no voices.
    """

    longest: int = 16
    on, off, wait = 1, 1 + PITCHES, 2 * PITCHES

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise ValueError(f"longest = {self.longest}, but at least 1 step passes")

    @property
    def vocab(self) -> int:
        """How many ids there are."""
        return self.wait + self.longest + 1

    def pitched(self, ids: np.ndarray) -> np.ndarray:
        """Which ids stand for a pitch, bool as ids; those of a higher one are higher by as much."""
        return (ids >= self.on) & (ids <= self.wait)

    def encode(self, piece: Piece) -> list[int]:
        """The ids of a piece, none that ends it. ValueError for a pitch that sounds twice at once (`Piece.settled`), or
        is of another voice than the first."""
        happens = dict[int, list[int]]()
        until = dict[int, int]()
        for note in piece.notes:
            if note.voice or until.get(note.pitch, 0) > note.start:
                raise ValueError(f"{note} is of a second voice, or sounds twice at once: take piece.settled()")
            until[note.pitch] = note.end
            happens.setdefault(note.start, []).append(self.on + note.pitch)
            happens.setdefault(note.end, []).append(self.off + note.pitch)
        ids, now = list[int](), 0
        for step in sorted({*happens, piece.steps}):
            whole, rest = divmod(step - now, self.longest)
            ids += [self.wait + self.longest] * whole + [self.wait + rest] * (rest > 0)
            ids += sorted(happens.get(step, []), key=lambda number: (number < self.off, number))
            now = step
        return ids

    def decode(self, ids: Sequence[int], *, per_quarter: int = 4) -> Piece:
        """What ids stand for, up to the one that ends the piece. ValueError for ids that there are not."""
        now, begun, notes = 0, dict[int, int](), list[Note]()

        def end(pitch: int) -> None:
            start = begun.pop(pitch, now)
            if start < now:
                notes.append(Note(start, pitch, now))

        for number in _before_end(ids, self.vocab):
            if number > self.wait:
                now += number - self.wait
            elif number >= self.off:
                end(number - self.off)
            else:
                end(number - self.on)
                begun[number - self.on] = now
        for pitch in list(begun):
            end(pitch)
        return Piece(tuple(notes), now, per_quarter)


def _before_end(ids: Sequence[int], vocab: int) -> list[int]:
    """Ids up to the first END. ValueError for one that is none."""
    found = list(ids)
    found = found[: found.index(END)] if END in found else found
    if wrong := [number for number in found if not 0 < number < vocab]:
        raise ValueError(f"{wrong[0]} is no id of this way to write music, which has {vocab}")
    return found
