"""The loss curve of a run, as a picture. matplotlib is an extra, imported where it is needed."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from weft.pictures import INK, MUTED, RULE, canvas, plain
from weft.training.log import read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRAINING, VALIDATION = "#2a6f97", "#d1495b"
LONG = 500  # from here on the first steps, where most happens, deserve a logarithmic axis


def draw(log: Path, png: Path, *, title: str, validation: Sequence[tuple[int, float]] = ()) -> None:
    """Draw the training loss in `log` over the steps, raw and smoothed, with `validation` points (step, loss).

    ValueError where the log holds no loss, or matplotlib is missing.
    """
    figure = canvas(8, 4.5)
    points = [(line["step"], line["loss"]) for line in read(log) if line.get("loss") is not None]
    if not points:
        raise ValueError(f"{log} holds no loss yet, so there is no curve to draw; let the run take a step")
    axes = figure.add_subplot()
    _dress(axes, title, steps=[step for step, _ in points])
    _lines(axes, points, validation)
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png)


def evaluations(log: Path, name: str) -> list[tuple[int, float]]:
    """The (step, value) of one of the evaluator's figures, as `draw` takes them."""
    found = ((line["step"], line.get("evaluation", {}).get(name)) for line in read(log))
    return [(step, value) for step, value in found if value is not None]


def smooth(values: Sequence[float], share: float = 0.05) -> list[float]:
    """The mean around each place, over `share` of the way there to either side.

    The window grows with the step: early on, where the loss falls fastest, a wide one would draw a curve that no model
    had. It is centred, so that it does not lag.
    """
    sums = [0.0, *accumulate(values)]
    means = []
    for place in range(len(values)):
        reach = round(share * place)
        start, stop = place - reach, min(len(values), place + reach + 1)
        means.append((sums[stop] - sums[start]) / (stop - start))
    return means


def _dress(axes: "Axes", title: str, steps: list[int]) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    axes.set_title(plain(title), loc="left", color=INK, fontsize=12, fontweight="bold", pad=22)
    subtitle = "loss: each step, and the mean around it"
    axes.annotate(subtitle, (0, 1), (0, 10), "axes fraction", "offset points", color=MUTED, fontsize=9)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    axes.set_xlabel("step" + (" (logarithmic axis)" if steps[-1] >= LONG else ""), color=MUTED, fontsize=9)
    if steps[-1] >= LONG:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _lines(axes: "Axes", points: list[tuple[int, float]], validation: Sequence[tuple[int, float]]) -> None:
    steps, losses = [step for step, _ in points], [loss for _, loss in points]
    means = smooth(losses)
    axes.plot(steps, losses, color=TRAINING, alpha=0.25, linewidth=0.8)
    axes.plot(steps, means, color=TRAINING, linewidth=2)
    labels = [(means[-1], f"training {means[-1]:.3f}", TRAINING)]
    if validation:
        at, values = [step for step, _ in validation], [value for _, value in validation]
        axes.plot(at, values, color=VALIDATION, linewidth=1, marker="o", markersize=5, markeredgecolor="white")
        labels.append((values[-1], f"validation {values[-1]:.3f}", VALIDATION))
    low, high = axes.get_ylim()
    gap = 0.05 * (high - low)  # a line of text
    below = -float("inf")
    for value, text, colour in sorted(labels):
        below = max(value, below + gap)
        axes.annotate(
            text, (1, below), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
            color=colour, fontsize=9, va="center", annotation_clip=False,
        )  # fmt: skip
