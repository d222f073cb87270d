"""A comparison in Markdown: one table of what each candidate came to, and one of how it stands beside the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from weft.evaluate import METRICS
from weft.recipes.comparing.budget import ROUNDS
from weft.recipes.comparing.comparison import Comparison
from weft.recipes.comparing.figures import LEVEL, Cell, Figures, Row
from weft.training.watch.figures import work


def as_markdown(comparison: Comparison, figures: Figures, hardware: Mapping[str, str]) -> str:
    """All of it."""
    parts = [
        f"# {comparison.name}",
        " ".join(comparison.story.split()),
        _said(comparison, figures, hardware),
        _figures(figures),
        f"## Beside {comparison.candidates[0].name}",
        *_beside(figures),
        "![The same as a picture](comparison.png)",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


MACHINE = ("processor", "cores", "GPU", "torch")
NOTES = """
- Each pretraining was given {flops} in the first round and {tokens:,} tokens of text in the second; there are
  {pretrained} of each candidate, and {seeds} seeds of each tuning.
- Operations are those of all matrix products of a training step, counted as they happen; tokens are those of the text,
  before anything of it is hidden, taken out or written. Seconds are of training steps.
- Held-out nats are for each label that an objective asks, beside the best constant guess. They answer different
  questions, and cannot be compared with one another.
""".strip()
TOLD = """
- {metrics}: mean ± standard deviation over seeds, and [the {level:.0%} interval] of that mean, for other examples
  (bootstrap) and other seeds (Student's t).
- ▲ and ▼: better and worse than the first candidate of the round (paired over seeds and examples, p < {p} after
  Holm's correction for all that are told of the round). All else is no significant difference.
""".strip()


def _said(comparison: Comparison, figures: Figures, hardware: Mapping[str, str]) -> str:
    """What the numbers are."""
    found = [(cell.tuning, METRICS.get(cell.metric)) for cell in figures.rows[0].cells]
    metrics = "; ".join(dict.fromkeys(f"{tuning}: {metric.name} ({metric.definition})" for tuning, metric in found))
    notes = NOTES.format(
        flops=work(figures.flops),
        tokens=figures.tokens,
        pretrained=comparison.pretrained,
        seeds=comparison.seeds,
    )
    told = [TOLD.format(metrics=metrics, level=figures.level, p=LEVEL)] if found else []
    machine = ", ".join(f"{name} {hardware[name]}" for name in MACHINE if name in hardware)
    return "\n".join([notes, *told, f"- On {machine}."])


def _figures(figures: Figures) -> str:
    """The table."""
    cells = figures.rows[0].cells
    head = ["candidate", "parameters", "steps", "tokens", "operations", "seconds", "held-out nats (one guess)"]
    lines = [_line([*head, *map(column, cells)]), _line(["---"] * (len(head) + len(cells)))]
    for name, title in ROUNDS.items():
        rows = [row for row in figures.rows if row.round == name]
        lines.append(_line([f"**{title}**", *[""] * (len(head) - 1 + len(cells))]))
        lines += [_line([*_facts(row), *map(_shown, row.cells)]) for row in rows]
        constants = [_number(cell.constant) for cell in cells]
        if any(cell.constant is not None for cell in cells):
            lines.append(_line(["the commonest answer", *[""] * (len(head) - 1), *constants]))
    return "\n".join(lines)


def _facts(row: Row) -> list[str]:
    nats = f"{_number(row.nats)} ({_number(row.constant)})"
    pair = f"{row.candidate} ({row.family}, {row.objective})"
    numbers = [f"{row.parameters:,}", f"{row.steps:,}", f"{row.tokens:,}", work(row.flops), f"{row.seconds:.0f}", nats]
    return [pair, *numbers]


def _beside(figures: Figures) -> list[str]:
    """A table of each round."""
    made = list[str]()
    for name, title in ROUNDS.items():
        rows = [row for row in figures.rows if row.round == name and any(cell.beside for cell in row.cells)]
        if not rows:
            continue
        lines = [_line([title, *map(column, rows[0].cells)]), _line(["---"] * (1 + len(rows[0].cells)))]
        lines += [_line([row.candidate, *map(_difference, row.cells)]) for row in rows]
        made.append("\n".join(lines))
    return made or ["Nothing was tuned."]


def _difference(cell: Cell) -> str:
    assert cell.beside is not None
    found = cell.beside.difference
    verdict = {True: "**better**", False: "**worse**", None: "no significant difference"}[cell.beside.better]
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}], p = {cell.beside.corrected:.3f}: {verdict}"


def _shown(cell: Cell) -> str:
    marks = {True: " ▲", False: " ▼", None: ""}
    return mean(cell) + f" [{cell.interval.low:.3f}, {cell.interval.high:.3f}]" + marks[_better(cell)]


def mean(cell: Cell) -> str:
    """0.712 ± 0.010."""
    return f"{cell.interval.value:.3f}" + ("" if cell.deviation is None else f" ± {cell.deviation:.3f}")


def _better(cell: Cell) -> bool | None:
    return None if cell.beside is None else cell.beside.better


def column(cell: Cell) -> str:
    """What a column is of: "sentiment, 1,000"."""
    return f"{cell.tuning}, {cell.count:,}" if cell.count else f"{cell.tuning}, all"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
