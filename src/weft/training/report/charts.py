"""Curves as SVG, drawn by hand: they need no library and no network, and take the page's colours, light or dark."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from weft.training.report.markup import Html, h, joined, safe, styled

WIDE, HIGH = 640, 280  # of the picture, in its own units
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 12, 34  # around the curves
COLOURS = 6  # the page's; further lines take them again, dashed
POINTS = 600  # of a line: more than can be told apart
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One curve. colour: its number. kind: "faint" lies in the background and is not named; "dots" has a mark at each
    point."""

    name: str
    points: Sequence[Point]
    colour: int = 0
    kind: Literal["plain", "faint", "dots"] = "plain"


@dataclass(frozen=True)
class Chart:
    """Curves over one axis. logarithmic: the axis below, which then begins above 0."""

    title: str
    lines: Sequence[Line]
    below: str = "step"
    logarithmic: bool = False


@dataclass(frozen=True)
class Axis:
    """From values to places."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where a value lies."""
        low, high, value = (math.log(x) if self.logarithmic else x for x in (self.low, self.high, value))
        return self.start + (value - low) / ((high - low) or 1) * (self.stop - self.start)


def draw(chart: Chart) -> Html:
    """The chart as a figure; nothing where there is not one point. Its values are in it, for the page's script."""
    lines = [line for line in chart.lines if line.points]
    if not lines:
        return Html()
    across = _across(chart, lines)
    lines = [thinned(line, across) for line in lines]
    up = _up(lines)
    named = [line for line in lines if line.kind != "faint"]
    data = {
        "axis": [across.low, across.high, across.start, across.stop, across.logarithmic],
        "height": [up.low, up.high, up.start, up.stop],
        "below": chart.below,
        "lines": [{"name": x.name, "colour": x.colour % COLOURS, "points": list(x.points)} for x in named],
    }
    picture = h(
        "svg", _grid(across, up, chart.below), *(_curve(line, across, up) for line in lines),
        attributes={"viewBox": f"0 0 {WIDE} {HIGH}", "role": "img", "aria-label": chart.title},
    )  # fmt: skip
    shown = [picture, styled("div", "tip")]
    return h(
        "figure", h("figcaption", h("b", chart.title), *(_legend(named) if len(named) > 1 else ())), *shown,
        attributes={"class": "chart", "data-chart": json.dumps(data, allow_nan=False)},
    )  # fmt: skip


def thinned(line: Line, axis: Axis) -> Line:
    """A line with at most POINTS points: the mean of those that fall together on the axis, at the middle one."""
    points = [(float(x), float(y)) for x, y in line.points]
    if len(points) > POINTS and line.kind != "dots":
        width = (axis.stop - axis.start) / POINTS
        parts: dict[int, list[Point]] = {}
        for point in points:
            parts.setdefault(min(POINTS - 1, int((axis.at(point[0]) - axis.start) / width)), []).append(point)
        points = [(part[len(part) // 2][0], sum(y for _, y in part) / len(part)) for part in parts.values()]
    return Line(line.name, tuple((float(f"{x:.9g}"), float(f"{y:.6g}")) for x, y in points), line.colour, line.kind)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, 1, 2 or 5 times a power of ten apart."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [count * step for count in range(first, math.floor(high / step + 1e-9) + 1)]


def powers(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis: powers of ten, between few of them 2 and 5 times one too."""
    tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(tens) <= 5 else (1,)
    found = [factor * 10.0**power for power in tens for factor in factors]
    return [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)] or [low, high]


def short(value: float) -> str:
    """0.001, 2.5, 1,200, 45k, 1.2M: a number beside an axis."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.3g}{unit}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _across(chart: Chart, lines: Sequence[Line]) -> Axis:
    values = [x for line in lines for x, _ in line.points]
    return Axis(min(values), max(values), LEFT, WIDE - RIGHT, chart.logarithmic and min(values) > 0)


def _up(lines: Sequence[Line]) -> Axis:
    values = [y for line in lines for _, y in line.points]
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
    low = 0.0 if 0 <= low < 0.25 * high else low - room  # near nothing: show where nothing is
    return Axis(low, high + room, HIGH - BOTTOM, TOP)


def _grid(across: Axis, up: Axis, below: str) -> Html:
    parts = []
    for value in ticks(up.low, up.high):
        y = up.at(value)
        parts.append(_stroke("rule", LEFT, y, WIDE - RIGHT, y))
        parts.append(_text(LEFT - 8, y + 4, "end", short(value)))
    marks = powers(across.low, across.high) if across.logarithmic else ticks(across.low, across.high, 6)
    parts += [_text(across.at(value), HIGH - BOTTOM + 17, "middle", short(value)) for value in marks]
    word = f"{below} (logarithmic)" if across.logarithmic else below
    parts += [_stroke("base", LEFT, HIGH - BOTTOM, WIDE - RIGHT, HIGH - BOTTOM)]
    return joined([*parts, _text(WIDE - RIGHT, HIGH - 3, "end", word), _stroke("cursor", -9, TOP, -9, HIGH - BOTTOM)])


def _curve(line: Line, across: Axis, up: Axis) -> Html:
    places = [(across.at(x), up.at(y)) for x, y in line.points]
    kind = f"{_colour(line)} {line.kind}"
    dots = [h("circle", attributes={"class": f"{kind} dot", "cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": 3.2})
            for x, y in places if line.kind == "dots" or len(places) == 1]  # fmt: skip
    path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return joined([h("path", attributes={"class": kind, "d": path}), *dots])


def _legend(lines: Sequence[Line]) -> list[Html]:
    return [styled("span", "name", styled("i", f"key {_colour(line)}"), line.name) for line in lines]


def _colour(line: Line) -> str:
    return f"s{line.colour % COLOURS}" + (" dashed" if line.colour >= COLOURS else "")


def _stroke(kind: str, x1: float, y1: float, x2: float, y2: float) -> Html:
    places = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    return h("line", attributes={"class": kind, **places})


def _text(x: float, y: float, anchor: str, text: str) -> Html:
    return h("text", safe(text), attributes={"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor})
