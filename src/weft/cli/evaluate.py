"""`weft eval`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from rich.table import Table

from weft.cli.shared import note, opened, printer
from weft.data import RowKind
from weft.hub.score import score
from weft.recipes.folder import existing


def command(folder: Path, data: tuple[str, ...], rows: str | None, column: str, *, as_json: bool) -> None:
    """Print the held-out likelihood. rows: None asks the folder how the model was trained."""
    model = opened(folder)
    if rows is None:
        rows = trained_on(folder)
        if rows != "stream" and not model.translates:
            note("documents that share a row are kept apart, as in training; --rows stream lets them see one another")
    figures = score(model, data, how=_kind(rows), column=column, say=note).figures()
    if as_json:
        print(json.dumps({"model": str(folder), "data": list(data), "rows": rows} | figures))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else f"{value:,.4f}")
    printer().print(table)


def trained_on(folder: Path) -> str:
    """The kind of rows that the run in a folder was trained on; "stream" where no run describes itself there."""
    run = existing(folder)
    return "stream" if run is None else str(run.data.get("rows", "stream"))


def _kind(rows: str) -> RowKind:
    for kind in get_args(RowKind):
        if rows == kind:
            return kind
    raise ValueError(f"--rows {rows}: rows are one of {', '.join(get_args(RowKind))}")
