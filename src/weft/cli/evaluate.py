"""`weft eval`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from weft.hub import load
from weft.hub.score import score


def command(folder: Path, data: tuple[str, ...], *, as_json: bool) -> None:
    model = load(folder)
    for text in model.notices:
        _note(text)
    figures = score(model, data, say=_note).figures()
    if as_json:
        print(json.dumps({"model": str(folder), "data": list(data)} | figures))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else f"{value:,.4f}")
    Console(highlight=False).print(table)


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)
