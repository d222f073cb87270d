"""Pieces of text as a person can see them: whitespace and bytes made visible, one colour each, ids below."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

COLOURS = ("#14213d on #a8d8ff", "#3d2914 on #ffd6a5", "#14381b on #b9f0b0", "#3d1436 on #f8c4ee", "#33330f on #f4f19c")
LOST = "bold white on red"  # what the tokenizer does not know
MUTED = "dim"

_NAMED = {" ": "␠", "\n": "⏎", "\t": "⇥", "\r": "␍"}
_STRAY = re.compile("[\udc80-\udcff]+")
_UNSEEN = {"Cc", "Cf", "Cn", "Co", "Zl", "Zp", "Zs"}


def visible(piece: bytes) -> str:
    """The piece with all of it to be seen: ␠ ⏎ ⇥ ␍; ⟨e2 80⟩ for bytes that make up no whole character; ⟨U+200D⟩ for
    characters without a shape."""
    text = "".join(map(_visible, piece.decode("utf-8", "surrogateescape")))
    if text and unicodedata.combining(text[0]):
        text = f"◌{text}"
    return _STRAY.sub(lambda found: f"⟨{' '.join(f'{ord(byte) - 0xDC00:02x}' for byte in found[0])}⟩", text)


def _visible(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    return f"⟨U+{ord(character):04X}⟩" if unicodedata.category(character) in _UNSEEN else character


def coloured(pieces: Iterable[bytes]) -> Text:
    """Pieces side by side, a space between them."""
    return Text(" ").join(Text(visible(piece), style) for piece, style in _styled(pieces))


def print_pieces(console: Console, pieces: Sequence[bytes], ids: Sequence[int]) -> None:
    """Pieces with their ids below, as many beside each other as the console is wide; after a line break, a new row."""
    above, below = Text(), Text()
    for (piece, style), number in zip(_styled(pieces), map(str, ids), strict=True):
        shown = visible(piece)
        width = max(cell_len(shown), len(number))
        if above and cell_len(above.plain) + width > console.width:
            _print(console, above, below)
            above, below = Text(), Text()
        above.append(shown, style).append(" " * (width - cell_len(shown) + 1))
        below.append(f"{number:<{width + 1}}", MUTED)
        if piece.endswith(b"\n"):
            _print(console, above, below)
            above, below = Text(), Text()
    if above:
        _print(console, above, below)


def _print(console: Console, above: Text, below: Text) -> None:
    for line in (above, below):
        line.rstrip()
        console.print(line, soft_wrap=True)


def _styled(pieces: Iterable[bytes]) -> Iterable[tuple[bytes, str]]:
    lost = "\N{REPLACEMENT CHARACTER}".encode()
    for place, piece in enumerate(pieces):
        yield piece, LOST if piece.removeprefix(b" ") == lost else COLOURS[place % len(COLOURS)]
