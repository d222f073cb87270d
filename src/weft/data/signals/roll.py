"""A piece as a picture: a piano roll. matplotlib is an extra, imported where it is needed."""

from __future__ import annotations

from pathlib import Path

from weft.data.signals.notes import Piece
from weft.pictures import INK, MUTED, RULE, canvas, plain

COLOURS = ("#2a6f97", "#d1495b", "#3c896d", "#b07d2b", "#6d597a", "#4d908e")  # of voices, in turn
NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")


def pitch_name(pitch: int) -> str:
    """As musicians call a pitch: 60 is C4."""
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"


def draw_roll(piece: Piece, png: Path, *, title: str = "") -> None:
    """Draw a piece's notes as bars, time from left to right in quarters, pitch upwards, a colour a voice. ValueError
    for a piece without notes, or where matplotlib is missing."""
    if not piece.notes:
        raise ValueError("a piece without notes makes no picture")
    figure = canvas(min(4 + piece.steps / piece.per_quarter / 4, 24), 4.5)
    axes = figure.add_subplot()
    if title:
        axes.set_title(plain(title), loc="left", color=INK, fontsize=12, fontweight="bold")
    for voice in sorted({note.voice for note in piece.notes}):
        bars = [note for note in piece.notes if note.voice == voice]
        axes.barh(
            [note.pitch for note in bars],
            [(note.end - note.start) / piece.per_quarter for note in bars],
            left=[note.start / piece.per_quarter for note in bars],
            height=0.8, color=COLOURS[voice % len(COLOURS)], edgecolor="white", linewidth=0.6,
            label=f"voice {voice + 1}",
        )  # fmt: skip
    low, high = (edge(note.pitch for note in piece.notes) for edge in (min, max))
    named = [pitch for pitch in range(low - 1, high + 2) if pitch % 12 in (0, 5, 7)] or [low]
    axes.set_yticks(named, [pitch_name(pitch) for pitch in named])
    axes.set_xlim(0, piece.steps / piece.per_quarter)
    axes.set_ylim(low - 1.5, high + 1.5)
    axes.set_xlabel("quarters", color=MUTED, fontsize=9)
    for spine in axes.spines.values():
        spine.set_color(RULE)
    axes.grid(color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=8, length=0)
    if len({note.voice for note in piece.notes}) > 1:
        axes.legend(loc="upper right", fontsize=8, frameon=False, labelcolor=INK)
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png)
