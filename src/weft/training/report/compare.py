"""Several runs on one page: their curves in one picture, and where they differ."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from weft.training.curve import LONG, smooth
from weft.training.report.charts import COLOURS, Chart, Line, draw
from weft.training.report.facts import LIKELIHOOD, Facts, Point, read_run
from weft.training.report.markup import Html, h, section, styled, table
from weft.training.report.page import PAGE, write_page
from weft.training.report.sections import BITS, COUNTS, as_text, words
from weft.training.watch import clock, size

LESS_IS_BETTER = (BITS, LIKELIHOOD, "perplexity", "loss")

OTHER = (
    "the runs read other data, or cut it into other tokens (the digests differ): bits per byte can be compared where "
    "the held-out text is the same, the other figures cannot"
)
UNKNOWN = "which data they read is not known of every run (one of weft.train has no run.json), so no best is marked: "


def compare(folders: Sequence[Path | str], out: Path | str) -> Path:
    """Write a page that compares the runs in `folders` to the file `out`, and return it. A folder counts once, however
    often and in whatever spelling it is named. ValueError where fewer than two are left, one is no run, or `out` is a
    file that is no page of weft's."""
    places = {Path(folder).resolve(): Path(folder) for folder in folders}
    runs = [read_run(folder) for folder in places.values()]
    if len(runs) < 2:
        raise ValueError("one run has nothing to be compared with: name two folders or more")
    names = distinct(runs)
    title = f"{len(runs)} runs compared"
    parts = [
        h("h1", title), styled("p", "quiet", *_legend(names, runs, Path(out))), _curves(names, runs),
        _figures(names, runs), _differences("Settings that differ", names, [dict(run.settings) for run in runs]),
        _differences("Elsewhere they differ in", names, [_elsewhere(run) for run in runs]),
    ]  # fmt: skip
    return write_page(Path(out), title, parts)


def distinct(runs: Sequence[Facts]) -> list[str]:
    """The runs' names: their folders', as much of the path as tells them apart."""
    parts = [run.folder.resolve().parts for run in runs]
    depth = 1
    while depth < max(map(len, parts)) and len({path[-depth:] for path in parts}) < len(parts):
        depth += 1
    return ["/".join(path[-depth:]) for path in parts]


def _legend(names: Sequence[str], runs: Sequence[Facts], out: Path) -> list[Html]:
    """Each run in its colour, linked to its own page where there is one."""
    made = []
    for place, (name, run) in enumerate(zip(names, runs, strict=True)):
        kind = f"key s{place % COLOURS}" + (" dashed" if place >= COLOURS else "")
        page = run.folder / PAGE
        link = quote(Path(os.path.relpath(page, out.parent)).as_posix())
        shown = h("a", name, attributes={"href": link}) if page.is_file() else name
        made.append(styled("span", "name", styled("i", kind), shown, "\u2003"))
    return made


def _curves(names: Sequence[str], runs: Sequence[Facts]) -> Html:
    def lines(points: Callable[[Facts], list[Point]], *, dots: bool = False) -> list[Line]:
        found = [points(run) for run in runs]
        return [
            Line(name, own, place, "dots" if dots else "plain")
            for place, (name, own) in enumerate(zip(names, found, strict=True))
        ]

    unit = counted(runs)
    long = max((run.last("step") or 0 for run in runs), default=0) >= LONG
    charts = [
        Chart("Training loss, smoothed", lines(lambda run: means(run, "step")), logarithmic=long),
        Chart("Held-out nats per token", lines(lambda run: run.evaluated(LIKELIHOOD), dots=True)),
        Chart("Training loss over time", lines(lambda run: means(run, "seconds")), "seconds", logarithmic=long),
        Chart(f"Training loss over {unit}", lines(lambda run: means(run, "tokens")), unit, logarithmic=long),
        Chart(f"{unit.capitalize()} per second", lines(lambda run: run.series("tokens_per_second"))),
        Chart("Learning rate", lines(lambda run: run.series("rate"))),
    ]
    made = [figure for chart in charts if (figure := draw(chart))]
    return section("Curves", styled("div", "charts", *made)) if made else Html()


def counted(runs: Sequence[Facts]) -> str:
    """What the runs count: "tokens", "rows", or both."""
    return " or ".join(sorted({run.unit for run in runs}, reverse=True))


def means(run: Facts, against: str) -> list[Point]:
    """The smoothed loss over another field."""
    points = run.series("loss", against)
    return list(zip((x for x, _ in points), smooth([loss for _, loss in points]), strict=True))


def _figures(names: Sequence[str], runs: Sequence[Facts]) -> Html:
    """What they came to; the best of a row is marked where less is better and the data are known to be the same."""
    unknown = [name for name, run in zip(names, runs, strict=True) if not run.digest]
    other = len({run.digest for run in runs if run.digest}) > 1
    same = not unknown and not other
    kinds = list(dict.fromkeys(name for run in runs for name in run.figures()))
    rows: list[list[str]] = []
    for kind in sorted(kinds, key=lambda name: name in COUNTS):
        values = [run.figures().get(kind) for run in runs]
        there = [value for value in values if value is not None]
        best = min(there) if same and kind in LESS_IS_BETTER and len(set(there)) > 1 else None
        label = f"held-out {words(kind)}"
        rows.append([label, *(h("b", as_text(v)) if v is not None and v == best else _number(v) for v in values)])
    unit = counted(runs)
    told: dict[str, Callable[[Facts], str]] = {
        "steps": lambda run: _number(run.last("step")),
        unit: lambda run: _number(run.last("tokens")),
        "time in steps": lambda run: clock(run.last("seconds") or 0),
        f"{unit} per second": lambda run: _number(round(run.typical("tokens_per_second") or 0)),
        "of the matrix peak": lambda run: f"{share:.0%}" if (share := run.share()) is not None else "–",
        "memory, at most": lambda run: size(run.last("memory")) or "–",
        "parameters": lambda run: _number(run.told.get("parameters")),
    }
    rows += [[label, *map(tell, runs)] for label, tell in told.items()]
    said = ([OTHER] if other else []) + ([UNKNOWN + ", ".join(unknown)] if unknown else [])
    return section("Figures", *(styled("p", "stopped", text) for text in said), table(rows, ["", *names]))


def _number(value: Any) -> str:
    return "–" if value is None else as_text(value)


def _differences(title: str, names: Sequence[str], runs: Sequence[dict[str, Any]]) -> Html:
    """A row for each thing that is not the same in all runs."""
    rows = []
    for name in dict.fromkeys(name for run in runs for name in run):
        values = [as_text(run[name]) if name in run else "–" for run in runs]
        if len(set(values)) > 1:
            rows.append([name, *values])
    return section(title, table(rows, ["", *names])) if rows else Html()


def _elsewhere(run: Facts) -> dict[str, Any]:
    """What is no setting and may still explain a difference: data, machine, decisions."""
    precision, given = run.part("decisions").get("precision"), run.part("decisions").get("given")
    found = {"data digest": run.digest} | {f"machine: {name}": value for name, value in run.part("hardware").items()}
    if isinstance(precision, dict):
        found["precision"] = precision.get("dtype")
    if isinstance(given, dict):
        found |= {f"kernel of {name}": kernel for name, kernel in given.items()}
    return found
