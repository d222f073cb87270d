"""A comparison as a picture: a panel of each task in each round, a line of each candidate over the number of labels.
matplotlib is an extra, imported where it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from weft.pictures import INK, MUTED, RULE, canvas, plain
from weft.recipes.comparing.budget import ROUNDS
from weft.recipes.comparing.comparison import Comparison, FineTuning
from weft.recipes.comparing.figures import Cell, Figures
from weft.training.watch.figures import work

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#2a6f97", "#d1495b", "#3a7d44", "#c98a1b", "#6d4c91", "#5b6770")
MARKERS = ("o", "s", "^", "D", "v", "P")  # a second sign, for those who see no colours
CONSTANT = "the commonest answer"
APART = 0.08  # of the way from one number of labels to the next: bars beside one another can be told apart


def draw(comparison: Comparison, figures: Figures, png: Path) -> None:
    """Draw means over seeds with their intervals. ValueError where nothing was tuned, or matplotlib is missing."""
    tunings = comparison.tunings
    if not tunings:
        raise ValueError(f"{comparison.name} tunes nothing, so that there is nothing to draw")
    figure = canvas(1 + 4.4 * len(tunings), 1.3 + 3.2 * len(ROUNDS))
    grid = figure.subplots(len(ROUNDS), len(tunings), squeeze=False, sharey="col")
    given = {"flops": work(figures.flops), "tokens": f"{figures.tokens:,} tokens"}
    for panels, (name, title) in zip(grid, ROUNDS.items(), strict=True):
        for axes, tuning in zip(panels, tunings, strict=True):
            lines = {
                row.candidate: [cell for cell in row.cells if cell.tuning == tuning.name]
                for row in figures.rows
                if row.round == name
            }
            _panel(axes, tuning, lines)
            axes.set_title(plain(f"{tuning.name}, {title} ({given[name]} each)"), loc="left", color=INK, fontsize=10)
    _legend(figure, grid[0][0], comparison)
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png)


def _panel(axes: Axes, tuning: FineTuning, lines: dict[str, list[Cell]]) -> None:
    """One task in one round."""
    places = range(len(tuning.counts))
    constant = next(iter(lines.values()))[0].constant
    if constant is not None:
        axes.axhline(constant, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label=CONSTANT)
    for number, (name, cells) in enumerate(lines.items()):
        aside = (number - (len(lines) - 1) / 2) * APART
        values = [cell.interval.value for cell in cells]
        axes.errorbar(
            [place + aside for place in places], values, yerr=_bars(cells), label=name,
            color=COLOURS[number % len(COLOURS)], marker=MARKERS[number % len(MARKERS)],
            markersize=5, markeredgecolor="white", linewidth=1.6, elinewidth=1.2,
        )  # fmt: skip
    axes.set_xticks(list(places), [f"{count:,}" if count else "all" for count in tuning.counts])
    axes.set_xlabel("labelled examples", color=MUTED, fontsize=9)
    axes.set_ylabel(next(iter(lines.values()))[0].metric.replace("_", " "), color=MUTED, fontsize=9)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=9, length=0, labelleft=True)
    axes.set_xlim(-0.5, len(places) - 0.5)


def _bars(cells: Sequence[Cell]) -> list[list[float]]:
    """How far each interval reaches below and above its mean, which a percentile's need not hold."""
    below = [max(0.0, cell.interval.value - cell.interval.low) for cell in cells]
    return [below, [max(0.0, cell.interval.high - cell.interval.value) for cell in cells]]


def _legend(figure: Figure, axes: Axes, comparison: Comparison) -> None:
    handles, names = axes.get_legend_handles_labels()
    told = {CONSTANT: CONSTANT} | {one.name: f"{one.name} ({one.family})" for one in comparison.candidates}
    figure.legend(
        handles, [plain(told[name]) for name in names], loc="outside upper left", ncols=len(names), frameon=False,
        fontsize=9, labelcolor=INK,
    )  # fmt: skip
