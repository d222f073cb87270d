"""`weft compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from weft.cli.shared import printer
from weft.recipes.comparing import Compared, compare, find_comparison
from weft.recipes.comparing.budget import ROUNDS
from weft.recipes.comparing.figures import Cell, Figures
from weft.recipes.comparing.folder import RESULT, TABLE
from weft.recipes.comparing.table import mean
from weft.training.watch import choose_watcher, thousands
from weft.training.watch.figures import work


def command(
    name: str,
    data: Path | None,
    out: Path,
    *,
    minutes: float | None,
    debug: bool,
    resume: bool,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Compare and print. What was interrupted ends in status 130."""
    if minutes is not None and not 0 < minutes < float("inf"):
        raise ValueError(f"--minutes {minutes:g}: give a time above 0, or leave it out for the comparison's own budget")
    found = compare(
        find_comparison(name),
        data,
        out,
        debug=debug,
        minutes=minutes or 0.0,
        resume=resume,
        overwrite=overwrite,
        watch=lambda: choose_watcher(silent=quiet),
    )
    if found.figures is None:
        print_stop(printer())
        raise SystemExit(130)
    if as_json:
        print((out / RESULT).read_text(encoding="utf-8"), end="")
    else:
        _print(printer(), found, found.figures)


def print_stop(console: Console) -> None:
    """How to go on."""
    console.print("stopped; the same command with --resume goes on")


def _print(console: Console, found: Compared, figures: Figures) -> None:
    """Means and deviations, a table of the budgets and one of each task in a round; all else is in the file."""
    for name, title in ROUNDS.items():
        rows = [row for row in figures.rows if row.round == name]
        budgets = {row.candidate: (thousands(row.tokens), work(row.flops), f"{row.seconds:.0f}") for row in rows}
        console.print(_table(title, ("tokens", "operations", "seconds"), budgets), "")
        for tuning in dict.fromkeys(cell.tuning for cell in rows[0].cells):
            cells = {row.candidate: [cell for cell in row.cells if cell.tuning == tuning] for row in rows}
            first = cells[rows[0].candidate]
            shown = {candidate: [_shown(cell) for cell in each] for candidate, each in cells.items()}
            heads = [f"{cell.count:,}" if cell.count else "all" for cell in first]
            console.print(_table(f"{tuning}, {first[0].metric.replace('_', ' ')}", heads, shown), "")
    console.print(Text("▲ ▼ better and worse than the first, by a paired test; all else is no difference", style="dim"))
    console.print(f"table       {found.out / TABLE}", soft_wrap=True)
    if found.picture is not None:
        console.print(f"picture     {found.picture}", soft_wrap=True)


def _table(title: str, heads: Sequence[str], rows: Mapping[str, Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(title, style="bold cyan", no_wrap=True, min_width=28)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True, min_width=12)
    for name, values in rows.items():
        table.add_row(name, *values)
    return table


def _shown(cell: Cell) -> str:
    better = None if cell.beside is None else cell.beside.better
    return mean(cell) + {True: " ▲", False: " ▼", None: ""}[better]
