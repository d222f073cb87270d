"""The card at the end of a run: figures beside their baselines, and what the model wrote."""

from __future__ import annotations

import shlex

from rich.console import Console
from rich.table import Table
from rich.text import Text

from weft.recipes import Recipe, Report
from weft.training.report.sections import NOTHING

ACCENT, MUTED = "cyan", "dim"


def print_card(console: Console, recipe: Recipe, report: Report) -> None:
    """Print what a run came to."""
    console.print()
    _figures(console, recipe, report)
    for sample in report.samples:
        console.print()
        between, nothing = (" → ", NOTHING) if sample.translates else ("", "")
        console.print(Text.assemble((sample.prompt, "bold"), between, sample.text or nothing))
    console.print()
    _places(console, report)


def _figures(console: Console, recipe: Recipe, report: Report) -> None:
    """What was done, and what it gave beside the baselines."""
    speed = report.tokens / report.seconds if report.seconds else 0.0
    console.print(
        Text.assemble(
            (recipe.name, f"bold {ACCENT}"),
            (f"   {report.steps:,} steps, {report.tokens / 1e6:.2f} M tokens, ", MUTED),
            (f"{report.seconds:.0f} s of training, {speed:,.0f} tokens/s", MUTED),
        )
    )
    figures = report.figures
    if "loss" in figures:
        _right(console, report)
        return
    if "nats_per_token" not in figures:  # nothing was evaluated, or what came out was not finite
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style=MUTED)
    ours = figures.get("bits_per_byte")
    if ours is not None:
        table.add_row("held-out bits per byte", _headline(ours), _bar(ours, ours, report))
        for name, value in report.baselines.items():
            table.add_row(f"  {name}, same bytes", f"{value:z.3f}", _bar(value, ours, report))
    nats = figures["nats_per_token"]
    table.add_row("held-out nats per token", _headline(nats) if ours is None else f"{nats:z.3f}", "")
    if report.constant is not None:
        table.add_row("  one guess for all, same labels", f"{report.constant:z.3f}", "")
    table.add_row("held-out perplexity", f"{figures['perplexity']:.1f}", "")
    for name, score in report.metrics.items():
        table.add_row(f"held-out {name.replace('_', ' ')}", f"{score.value:.2f}", "")
    console.print(table)
    for name, score in report.metrics.items():
        console.print(f"{name}: {score.signature}", style=MUTED, soft_wrap=True)
    if report.no_bytes:
        console.print(report.no_bytes, style=MUTED)


def _right(console: Console, report: Report) -> None:
    """How often a model of signals is right, and its loss beside those of baselines and of one guess for all."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, score in report.metrics.items():
        table.add_row(f"held-out {name.replace('_', ' ')}", _headline(score.value))
    loss = report.figures["loss"]
    table.add_row(f"held-out {report.loss}", _told(loss) if report.metrics else _headline(loss))
    for name, value in report.baselines.items():
        table.add_row(f"  {name}", _told(value))
    if report.constant is not None:
        table.add_row("  one guess for all, same labels", _told(report.constant))
    console.print(table)
    for name, score in report.metrics.items():
        console.print(f"{name}: {score.signature}", style=MUTED, soft_wrap=True)


def _headline(value: float) -> Text:
    """The figure that a person looks for first."""
    return Text(_told(value), style=f"bold {ACCENT}")


def _told(value: float) -> str:
    """Three digits behind the point, and of a small figure three that say something."""
    return f"{value:.3g}" if 0 < abs(value) < 0.05 else f"{value:z.3f}"


def _bar(value: float, ours: float, report: Report) -> str:
    """A bar to compare with the others of the table; none where there is nothing to compare with."""
    longest = max([ours, *report.baselines.values()])
    return "▆" * max(1, round(24 * value / longest)) if report.baselines else ""


def _places(console: Console, report: Report) -> None:
    """Where everything is, and the command to go on with."""
    rows = {"model": str(report.out), "report": str(report.page)}
    if report.curve:
        rows["loss curve"] = str(report.curve)
    if report.interrupted:
        rows["go on"] = "the same command with --resume"
    elif report.writes:
        rows["write"] = f'weft generate {shlex.quote(str(report.out))} --prompt "…"'
    elif report.makes:
        rows["write"] = f"weft generate {shlex.quote(str(report.out))} --out {report.makes}"
    for name, text in rows.items():  # unbroken, to be copied
        console.print(Text.assemble((f"{name:<12}", MUTED), text), soft_wrap=True)
