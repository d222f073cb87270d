"""`weft translate`."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from weft.cli.shared import opened
from weft.generate import Beams
from weft.hub import find
from weft.hub.translation import BEAMS, translate


def command(name: str, *, beams: int, length_penalty: float | None, to: str | None, tokens: int, batch: int) -> None:
    """Write a translation of each line of standard input, in their order."""
    if beams < 1 or batch < 1:
        raise ValueError(f"--beams {beams} and --batch {batch}: both are at least 1")
    search: int | Beams = beams
    if beams > 1:
        search = Beams(beams, length_penalty=BEAMS.length_penalty if length_penalty is None else length_penalty)
    elif length_penalty is not None:
        raise ValueError(f"--length-penalty {length_penalty} belongs to a search: give --beams 5, say, too")
    model = opened(find(name))
    lines = sys.stdin.read().split("\n")
    if lines and not lines[-1]:
        lines.pop()  # what ends the last line begins no other
    columns = TextColumn("translating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(lines))
        found = translate(
            model,
            lines,
            beams=search,
            to=to,
            tokens=tokens,
            batch=batch,
            advance=lambda more: progress.advance(task, more),
        )
    sys.stdout.write("".join(f"{line}\n" for line in found))
