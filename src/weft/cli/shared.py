"""What the commands share: opening a model, what is said beside a result, and where a result is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from weft.evaluate import Interval
    from weft.hub import Model
    from weft.recipes.predicted import Part


def printer() -> Console:
    """Standard output. Names, paths and texts are printed as they are, whatever brackets they have."""
    return Console(highlight=False, markup=False)


def note(text: str) -> None:
    """Something a person should know, on standard error: a result may be read by a program."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble(("note: ", "yellow"), text))


def print_figures(figures: Mapping[str, float]) -> None:
    """Numbers by name, a line each."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else f"{value:z,.4f}")
    printer().print(table)


def opened(folder: Path) -> Model:
    """The model in a folder; what loading had to say is said."""
    from weft.hub import load  # here: commands on names and data open no model

    model = load(folder)
    for text in model.notices:
        note(text)
    return model


def between(interval: Interval | None) -> str:
    """An interval for people."""
    return "–" if interval is None else f"{interval.low:.4f} to {interval.high:.4f}"


def interval(found: Interval | None) -> str:
    """An interval behind a score; nothing of a score that has none."""
    return "" if found is None else f", 95% interval {between(found)}"


def part_line(part: Part) -> str:
    """The score of some of the examples, which have a name."""
    said = "" if part.interval is None else f", {between(part.interval)}"
    return f"  {part.name}: {part.score.value:.4g}{said}, of {part.examples:,}"


def unheard(of: str, given: Mapping[str, object]) -> None:
    """ValueError for an option, by its name, that is given where it means nothing: of what it is."""
    for option, value in given.items():
        if value is not None and value is not False:
            raise ValueError(f"--{option} is of {of}")


def each_once(data: Sequence[str]) -> None:
    """ValueError for a file, folder or pattern that --data names twice, in whatever spelling: it would count once."""
    seen = dict[Path, str]()
    for path in data:
        place = Path(path).resolve()
        if place in seen:
            first = "" if seen[place] == path else f", first as {seen[place]}"
            raise ValueError(f"--data names {path} twice{first}, and it would count once: name it once")
        seen[place] = path
