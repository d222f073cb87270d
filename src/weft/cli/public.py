"""`weft data list` and `weft data get`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from weft.cli.pieces import MUTED
from weft.cli.shared import note, printer
from weft.data.public import PUBLIC_SETS, PublicSet, get_public
from weft.data.public.fetch import Advance, nothing

HEADING = "bold cyan"


def show(*, as_json: bool) -> None:
    """Print every set that is registered; one of another distribution that is broken says so."""
    found: dict[str, PublicSet | str] = {}
    for name in PUBLIC_SETS.names():
        try:
            found[name] = PUBLIC_SETS.get(name)
        except Exception as error:  # another distribution's plug-in may be broken, which is no reason to stop
            found[name] = f"cannot be loaded: {error}"
    if as_json:
        print(json.dumps([_facts(known) for known in found.values() if isinstance(known, PublicSet)]))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=HEADING)
    table.add_column("name", no_wrap=True)
    table.add_column("what")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("licence", style=MUTED)
    table.add_column("verified", no_wrap=True)
    for name, known in found.items():
        if isinstance(known, str):
            table.add_row(name, known)
        else:
            table.add_row(name, known.about, _size(known.size), known.licence, _verified(known))
    console = printer()
    console.print(table)
    console.print(
        Text("\nweft data get NAME fetches one; what is unverified was published without a digest", style=MUTED)
    )


def get(name: str, out: Path | None, *, as_json: bool) -> None:
    """Fetch one, and print where it is."""
    with _bars() as advance:
        got = get_public(name, out, say=note, advance=advance)
    if as_json:
        print(json.dumps(_facts(got.known) | {"folder": str(got.folder), "digests": got.digests}))
        return
    console, known = printer(), got.known
    console.print(Text.assemble((known.name, HEADING), (f"  {known.about}", MUTED)))
    rows = {
        "folder": str(got.folder),
        "files": ", ".join(file.name for file in known.files),
        "verified": _verified(known),
        "licence": known.licence,
        "source": known.source,
    }
    for what, text in rows.items():
        console.print(Text.assemble((f"{what:<10}", MUTED), text), soft_wrap=True)


@contextmanager
def _bars() -> Iterator[Advance]:
    """A bar for each file, on standard error; none where no terminal listens."""
    if not sys.stderr.isatty():
        yield nothing
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        def advance(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name)
            progress.update(tasks[name], completed=done, total=total or None)

        yield advance


def _facts(known: PublicSet) -> dict[str, object]:
    return asdict(known) | {"size": known.size, "verified": known.verified == len(known.files)}


def _verified(known: PublicSet) -> str:
    if known.verified == len(known.files):
        return "yes"
    return f"{known.verified} of {len(known.files)} files" if known.verified else "unverified"


def _size(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:,.1f} MB"
