"""Pieces of music as rows of ids: stretches of each, moved up or down where they are trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from weft.batch import IGNORED, Batch, Place
from weft.data.blocks import check
from weft.data.order import Shuffled, mix
from weft.data.signals.notation import Notation
from weft.data.signals.notes import END, Piece

PURPOSE = 0x3051C  # of the draws, among all that hang on seed, epoch and sample


class Pieces(Shuffled):
    """Pieces' ids, END before and after, int64 [T] each, as rows of at most `context` places that predict the next id.

    - shifts None, for evaluation: rows begin `context` / 2 places after one another, and every id but a piece's first
      is predicted exactly once, from at least half a context before it where its piece has so much.
    - shifts, for training: of each piece the lowest and the highest number of semitones by which it may be moved. A
      piece has as many samples as rows fill it once; where a sample's row begins and by how much it is moved are
      functions of (seed, epoch, sample). Beginnings and ends come up more often than what is between.

    A row begins at a whole step where a step has always as many ids (`unit`), so that a place in it is always the same
    voice's. One that is not full is padded on the right (segments 0, labels IGNORED).
    """

    def __init__(
        self,
        pieces: Sequence[np.ndarray],
        notation: Notation,
        context: int,
        *,
        shifts: Sequence[tuple[int, int]] | None = None,
        seed: int = 0,
    ) -> None:
        if context < 2 or not pieces:
            raise ValueError(f"{len(pieces)} pieces in rows of {context} places: there is at least 1 of at least 2")
        self.pieces, self.notation, self.context = pieces, notation, context
        self.shifts, self.seed = shifts, seed
        self.unit = notation.voices if notation.encoding == "voices" else 1
        self.stride = max(1, context // 2 // self.unit) * self.unit
        if context < self.unit or self.stride > context:
            raise ValueError(f"rows of {context} places hold no step of {self.unit} voices: set model.context higher")
        self.rows = [(piece, row) for piece, ids in enumerate(pieces) for row in range(self._count(len(ids) - 1))]

    def __len__(self) -> int:
        """Samples in an epoch."""
        return len(self.rows)

    def _count(self, asked: int) -> int:
        """How many rows a piece has in which so many ids are predicted."""
        if self.shifts is not None:
            return -(-asked // self.context)
        return 1 + max(0, -(-(asked - self.context) // self.stride))

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples."""
        rows = check(places, len(self))
        shape = len(rows), self.context
        tokens, labels = np.full(shape, END, np.int64), np.full(shape, IGNORED, np.int64)
        segments = np.zeros(shape, np.int64)
        for row, place in enumerate(places):
            ids, start, known = self._stretch(place)
            length = min(self.context, len(ids) - 1 - start)
            tokens[row, :length] = ids[start : start + length]
            labels[row, known:length] = ids[start + 1 + known : start + 1 + length]
            segments[row, :length] = 1
        return Batch(
            tokens=torch.from_numpy(tokens),
            labels=torch.from_numpy(labels),
            segments=None if segments.all() else torch.from_numpy(segments),
            samples=tuple(rows.tolist()),
        )

    def _stretch(self, place: Place) -> tuple[np.ndarray, int, int]:
        """The ids of a sample's piece, where its row begins in them, and how many places of it are not asked."""
        number, row = self.rows[place.sample]
        ids = self.pieces[number]
        if self.shifts is None:
            return ids, row * self.stride, self.context - self.stride if row else 0
        draw, (low, high) = mix(self.seed, PURPOSE, place.epoch, place.sample), self.shifts[number]
        by, share = low + draw % (high - low + 1), mix(draw) / 2**64
        asked = len(ids) - 1
        most = max(0, -(-(asked - self.context) // self.unit))  # units
        start = round(((row + share) / self._count(asked) * asked - self.context / 2) / self.unit)
        return self.notation.moved(ids, by), min(max(start, 0), most) * self.unit, 0


def shifts(pieces: Sequence[Piece], *, down: int, up: int) -> list[tuple[int, int]]:
    """By how many semitones each piece may be moved: at most so far, and with no voice leaving what it spans in all of
    them together."""
    lowest, highest = dict[int, int](), dict[int, int]()
    for note in (note for piece in pieces for note in piece.notes):
        lowest[note.voice] = min(lowest.get(note.voice, note.pitch), note.pitch)
        highest[note.voice] = max(highest.get(note.voice, note.pitch), note.pitch)
    return [
        (
            max([-down, *(lowest[note.voice] - note.pitch for note in piece.notes)]),
            min([up, *(highest[note.voice] - note.pitch for note in piece.notes)]),
        )
        for piece in pieces
    ]
