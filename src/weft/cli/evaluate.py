"""`weft eval`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import typer

from weft.cli.prompting import numbers
from weft.cli.shared import interval, note, opened, part_line, print_figures, printer, unheard
from weft.data import RowKind
from weft.data.sources import COLUMN
from weft.hub import find
from weft.hub.score import score
from weft.nn import Decoder
from weft.recipes.folder import own_data, text_settings, trained_with
from weft.recipes.modality import of_folder, reads_signals
from weft.training.report.sections import NOTHING


def command(
    name: str, data: tuple[str, ...], rows: str | None, column: str | None, stride: int | None, *, as_json: bool
) -> None:
    """Print the held-out likelihood. rows: None asks the folder how the model was trained."""
    folder = find(name)
    if reads_signals(folder):
        of_text = {"rows": rows, "stride": stride, "column": column}
        unheard("text, and this model reads signals: leave it out", of_text)
        signals(name, folder, data, as_json=as_json)
        return
    model = opened(folder)
    if rows is None:
        rows = "stream" if model.translates else trained_on(folder)
        if rows != "stream":
            note("documents that share a row are kept apart, as in training; --rows stream lets them see one another")
    asked = trained_with(folder)
    found = score(model, data, how=_kind(rows), column=column or COLUMN, objective=asked, stride=stride, say=note)
    context = model.config.context
    figures = found.figures() | found.by_text() | {"context": context}
    plain = isinstance(model.module, Decoder) and (asked is None or asked.likelihood)
    if plain and rows != "pack":  # other rows are as long as what they hold
        figures["stride"] = context if stride is None else stride
    if as_json:
        how = None if model.translates else rows  # a pair has rows of its own
        print(json.dumps({"model": name, "data": list(data), "rows": how} | figures))
        return
    print_figures(figures)


def alone(name: str, seeds: str | None, *, as_json: bool) -> None:
    """Print what is said of a model of signals without any data, for each of some seeds ("0,1,2"; None: 0)."""
    if not reads_signals(Path(name)):
        raise typer.BadParameter("Missing option '--data', which names what the model is scored on")
    folder = find(name)
    modality = of_folder(folder)
    for seed in numbers("--seeds", seeds or "0", int):
        told = modality.tell(folder, seed, say=note)
        if as_json:
            scores = {metric: found.value for metric, found in told.metrics.items()}
            print(json.dumps({"model": name, "seed": seed} | scores))
            continue
        for sample in told.samples:
            printer().print(f"{sample.prompt} → {sample.text or NOTHING}")
        for found in told.metrics.values():
            printer().print(str(found), soft_wrap=True)


def signals(name: str, folder: Path, data: tuple[str, ...], *, as_json: bool) -> None:
    """Print how well a model of signals answers for those in a folder or file."""
    if len(data) != 1:
        raise ValueError(f"signals are scored a folder or file at a time, and {len(data)} were given: name one --data")
    modality = of_folder(folder)
    found = modality.predict(folder, Path(data[0]), None, labelled=True, say=note)
    if not found.apart and own_data(folder, Path(data[0])) is not None:
        note(f"{name} was trained on a part of {data[0]}, which flatters it: its report says how it does on the rest")
    assert found.score is not None, "they are labelled"
    if as_json:
        between = None if found.interval is None else asdict(found.interval)
        said = {"model": name, "data": list(data), "examples": found.examples, "interval": between}
        parts = {"parts": {part.name: asdict(part) for part in found.parts}} if found.parts else {}
        print(json.dumps(said | {one.name: one.value for one in (found.score, *found.more)} | parts))
        return
    printer().print(f"{found.score}{interval(found.interval)}, of {found.examples:,} {modality.examples}")
    for more in found.more:
        printer().print(str(more))
    for part in found.parts:
        printer().print(part_line(part))


def trained_on(folder: Path) -> RowKind:
    """The kind of rows that the run in a folder was trained on; "stream" where no run describes itself there."""
    data = text_settings(folder)
    return "stream" if data is None else data.rows


def _kind(rows: str) -> RowKind:
    for kind in get_args(RowKind):
        if rows == kind:
            return kind
    raise ValueError(f"--rows {rows}: rows are one of {', '.join(get_args(RowKind))}")
