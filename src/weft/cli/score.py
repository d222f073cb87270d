"""`weft score`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from weft.cli.shared import note, opened, printer
from weft.data.reading import read_text
from weft.hub import find
from weft.hub.folder import read_config
from weft.hub.score import TextScore, score_text

COLUMNS = {
    "bits_per_byte": "bits/byte", "nats": "nats", "nats_per_token": "nats/token", "perplexity": "ppl/token",
    "word_perplexity": "ppl/word", "byte_perplexity": "ppl/byte", "stride": "stride", "context": "context",
}  # fmt: skip


def command(text: str, names: Sequence[str], stride: int | None, *, as_json: bool) -> None:
    """Print what each model makes of a text, best first: by bits per byte; behind them those that have none, by nats
    per token, likelihoods before pseudo-log-likelihoods."""
    asked = read(text)
    found: list[tuple[str, TextScore]] = []
    folders = {name: find(name) for name in names}
    for folder in folders.values():  # all are looked up before the first is asked
        read_config(folder)
    for name in names:
        model = opened(folders[name])
        try:
            found.append((name, score_text(model, asked, stride=stride, say=note)))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    found.sort(key=lambda pair: order(pair[1]))
    for why in dict.fromkeys(scored.why for _, scored in found if scored.why):
        note(f"{', '.join(name for name, scored in found if scored.why == why)}: {why}")
    if as_json:
        rows = [{"model": name, "kind": scored.kind} | scored.figures() for name, scored in found]
        print(json.dumps({"bytes": len(asked.encode()), "models": rows}))
        return
    if len(found) == 1:
        printer().print(alone(found[0][1]))
    else:
        print(beside(found))


def read(text: str) -> str:
    """The text itself, or that of the file it names. ValueError for a folder, and a file that cannot be read."""
    try:
        path = Path(text)
        there, folder = path.is_file(), bool(text) and path.is_dir()
    except (OSError, ValueError):  # too long for a name, or with a character that no name has
        return text
    if folder:
        raise ValueError(f"{text} is a folder: the text, or a file of it, comes first: weft score TEXT DIR…")
    if there:
        return read_text(path)
    if path.suffix and not any(character.isspace() for character in text):
        note(f"there is no file {text}: it is scored as a text")
    return text


def order(scored: TextScore) -> tuple[bool, float, float]:
    """What models are sorted by."""
    bits = scored.likelihood.bits_per_byte
    return scored.pseudo, math.inf if bits is None else bits, scored.likelihood.nats_per_token


def alone(scored: TextScore) -> Table:
    """One model's figures, a line each."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in scored.figures().items():
        table.add_row(name.replace("_", " "), shown(value))
    return table


def beside(found: Sequence[tuple[str, TextScore]]) -> str:
    """Several models, a line each, as wide as it has to be: a name that is cut is no name."""
    rows = [[*COLUMNS.values(), "model"]]
    for name, scored in found:
        figures = scored.figures()
        values = [figures.get(f"pseudo_{column}", figures.get(column)) for column in COLUMNS]
        rows.append([*map(shown, values), f"{name} (pseudo)" if scored.pseudo else name])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    lines = [[*(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]] for row in rows]
    return "\n".join("  ".join(line) for line in lines)


def shown(value: float | None) -> str:
    """A figure for people; a large one is rounded, a very large one has its power of ten."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if value < 100 else f"{value:,.1f}" if value < 1e6 else f"{value:.2e}"
