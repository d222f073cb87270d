"""How pieces of music are written as ids: what a model of music reads in place of a tokenizer's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from weft.data.signals.music import read_midi
from weft.data.signals.notes import END, Events, Piece, Voices

Encoding = Literal["voices", "events"]


@dataclass(frozen=True)
class Notation:
    """encoding: "voices", a grid of an id for each voice at each step; "events", notes that begin and end and steps
    that pass (`Voices`, `Events` say what each id stands for). voices: of a grid. longest: steps that one event lets
    pass. per_quarter: steps of a quarter note, of every piece that is read and written. ValueError for what can be
    none."""

    encoding: Encoding = "voices"
    voices: int = 4
    longest: int = 16
    per_quarter: int = 4

    def __post_init__(self) -> None:
        assert self.way
        if self.per_quarter < 1:
            raise ValueError(f"per_quarter={self.per_quarter}, but a quarter has at least 1 step")

    @property
    def way(self) -> Voices | Events:
        """What makes ids of notes."""
        ways: dict[Encoding, Callable[[], Voices | Events]] = {
            "voices": lambda: Voices(self.voices),
            "events": lambda: Events(self.longest),
        }
        return ways[self.encoding]()

    @property
    def vocab(self) -> int:
        """How many ids there are."""
        return self.way.vocab

    @property
    def channels_of_place(self) -> int:
        """0: a place is an id."""
        return 0

    def fitted(self, piece: Piece) -> Piece:
        """The piece as far as it can be written: as events all notes are one voice's. ValueError for another grid of
        steps."""
        if piece.per_quarter != self.per_quarter:
            raise ValueError(
                f"its quarters have {piece.per_quarter} steps, and these are written with {self.per_quarter}: set "
                f"data.per_quarter={piece.per_quarter}"
            )
        return piece if self.encoding == "voices" else piece.settled()

    def encode(self, piece: Piece) -> np.ndarray:
        """The ids of a piece, END before and after it, int64 [T]. ValueError for one that cannot be written so."""
        return np.array([END, *self.way.encode(self.fitted(piece)), END], np.int64)

    def decode(self, ids: Sequence[int]) -> Piece:
        """The piece that ids stand for, from behind the END that begins them, if any, to the one that ends them."""
        begun = ids[1:] if len(ids) and ids[0] == END else ids
        return self.way.decode(begun, per_quarter=self.per_quarter)

    def moved(self, ids: np.ndarray, by: int) -> np.ndarray:
        """The ids of the same piece with every pitch `by` semitones higher."""
        return ids + by * self.way.pitched(ids)

    def read(self, path: Path) -> np.ndarray:
        """The ids of a MIDI file, END before and after. ValueError naming the file for what cannot be written so."""
        piece = read_midi(path, per_quarter=self.per_quarter)
        try:
            return self.encode(piece)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def rows(self, signals: np.ndarray) -> np.ndarray:
        """Ids are rows already."""
        return signals
