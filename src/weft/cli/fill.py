"""`weft fill`."""

from __future__ import annotations

import dataclasses
import json

from rich.table import Table

from weft.cli.shared import note, opened, printer
from weft.hub import find
from weft.hub.blanks import Filled, Filling, fill
from weft.recipes.folder import trained_with


def command(name: str, text: str, top: int, tokens: int | None, blank: str, *, as_json: bool) -> None:
    """Print the likeliest fillings of each blank, and the text with the likeliest."""
    folder = find(name)
    model, objective = opened(folder), trained_with(folder)
    filled = fill(model, text, blank=blank, top=top, tokens=tokens)
    if model.translates and objective is not None and objective.pairs:
        note(f"{name} was trained by {objective.title}, which hides no spans: what it writes fills nothing")
    if as_json:
        print(json.dumps({"model": name} | dataclasses.asdict(filled)))
        return
    if len(filled.blanks) > 1:
        note(filled.how)
    console = printer()
    console.print(filled.text, soft_wrap=True)
    console.print(table(filled))


def table(filled: Filled) -> Table:
    """A line for each filling, blank by blank."""
    found = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    found.add_column("blank", justify="right", style="dim")
    found.add_column("word", overflow="fold")
    found.add_column("probability", justify="right")
    for number, fillings in enumerate(filled.blanks, start=1):
        for place, filling in enumerate(fillings):
            found.add_row("" if place else str(number), shown(filling), _probability(filling.probability))
    return found


def shown(filling: Filling) -> str:
    """The text of a filling; … before what goes on with a word, and a space and what has no shape made visible."""
    text = filling.text if filling.text.isprintable() and filling.text.strip() else repr(filling.text)
    return f"…{text}" if filling.joined else text


def _probability(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else f"{value:.1e}"
