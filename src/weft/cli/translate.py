"""`weft translate`, and `weft eval --metric`: lines are translated, and scored."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from weft.cli.shared import opened, printer
from weft.data import DataSettings, open_pairs
from weft.data.reading import lines_of, without_mark
from weft.evaluate import METRICS
from weft.generate import Beams
from weft.hub import Model, find
from weft.hub.translation import BEAMS, translate
from weft.recipes.translations import check_metrics


def command(name: str, *, beams: int, length_penalty: float | None, to: str | None, tokens: int, batch: int) -> None:
    """Write a translation of each line of standard input, in their order: a line each, whatever the model writes."""
    if beams < 1 or batch < 1:
        raise ValueError(f"--beams {beams} and --batch {batch}: both are at least 1")
    search: int | Beams = beams
    if beams > 1:
        search = Beams(beams, length_penalty=BEAMS.length_penalty if length_penalty is None else length_penalty)
    elif length_penalty is not None:
        raise ValueError(f"--length-penalty {length_penalty} belongs to a search: give --beams 5, say, too")
    model = opened(find(name))
    found = translated(model, lines_of(without_mark(sys.stdin.read())), search, to=to, tokens=tokens, batch=batch)
    sys.stdout.write("".join(f"{' '.join(lines_of(text))}\n" for text in found))


def translated(
    model: Model, lines: Sequence[str], beams: int | Beams, *, to: str | None, tokens: int = 200, batch: int = 32
) -> list[str]:
    """Their translations; a bar says how far they are."""
    columns = TextColumn("translating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(lines))

        def advance(more: int) -> None:
            progress.advance(task, more)

        return translate(model, lines, beams=beams, to=to, tokens=tokens, batch=batch, advance=advance)


def evaluate(
    name: str, data: tuple[str, ...], metrics: Sequence[str], to: str | None, column: str, *, as_json: bool
) -> None:
    """Print the scores of what the model makes of a test set's sources, line breaks included."""
    check_metrics(metrics)  # before anything is translated
    model = opened(find(name))
    pairs = open_pairs(DataSettings("pairs", data, column=column))
    sources, gold = [source for source, _ in pairs], [target for _, target in pairs]
    found = translated(model, sources, BEAMS, to=to)
    scores = {metric: METRICS.get(metric).score(found, gold) for metric in metrics}
    if as_json:
        facts = {"model": name, "data": list(data), "pairs": len(pairs), "beams": BEAMS.width}
        told = {metric: {"value": score.value, "signature": score.signature} for metric, score in scores.items()}
        print(json.dumps(facts | {"scores": told}))
        return
    printer().print(f"{len(pairs):,} pairs, a beam of {BEAMS.width}", style="dim")
    for metric, score in scores.items():
        printer().print(f"{metric.replace('_', ' ')}  {score.value:.2f}  ({score.signature})", soft_wrap=True)
