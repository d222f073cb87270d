"""`weft eval`."""

from __future__ import annotations

import json
from pathlib import Path

from rich.table import Table

from weft.cli.shared import note, opened, printer
from weft.hub.score import score
from weft.recipes.folder import existing


def command(folder: Path, data: tuple[str, ...], isolate: bool | None, *, as_json: bool) -> None:
    """Print the held-out likelihood. isolate: None asks the folder how the model was trained."""
    model = opened(folder)
    if isolate is None:
        isolate = isolated(folder)
        if isolate and not model.translates:
            note("documents that share a row are kept apart, as in training; --no-isolate lets them see one another")
    figures = score(model, data, isolate=isolate, say=note).figures()
    if as_json:
        print(json.dumps({"model": str(folder), "data": list(data), "isolate": isolate} | figures))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else f"{value:,.4f}")
    printer().print(table)


def isolated(folder: Path) -> bool:
    """Whether the run in a folder kept the documents of a row apart; False where no run describes itself there."""
    run = existing(folder)
    return run is not None and run.data.get("isolate") is True
