"""A cell's output in a notebook: the figures and the loss curve, drawn anew a few times a second."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from weft.training.watch.figures import Pace, listed, size
from weft.training.watch.outlet import unheard
from weft.training.watch.record import Record
from weft.training.watch.watcher import Watcher

EVERY = 0.5  # seconds between two drawings
LINES = 8  # of evaluations, saves and notices: the newest
WIDE, HIGH = 520, 90  # of the curve, in pixels
STYLE = "font:13px/1.6 system-ui,sans-serif;max-width:44rem"


class NotebookWatcher(Watcher):
    """One display that is updated in place, so that a long run leaves a short cell."""

    def __init__(self) -> None:
        self.pace = Pace(1, 0)
        self.headline = ""
        self.said: list[str] = []
        self.handle: Any = None
        self.drawn = 0.0

    def begin(self, steps: int, done: int, headline: str, peak: float = 0.0) -> None:
        """The display appears."""
        self.pace, self.headline = Pace(steps, done, peak), headline
        self._show()

    def step(self, record: Record) -> None:
        """The display is updated, twice a second at most."""
        self.pace.add(record)
        if time.monotonic() - self.drawn > EVERY:
            self._show()

    def evaluated(self, step: int, values: Mapping[str, float | None]) -> None:
        """A line under the figures."""
        self._say(f"{step:,}   evaluation   {listed(values)}")

    def saved(self, step: int, path: Path) -> None:
        """A line under the figures."""
        self._say(f"{step:,}   saved   {path}")

    def notice(self, text: str) -> None:
        """A line under the figures."""
        self._say(f"note: {text}")

    def close(self) -> None:
        """The display stays as it is at the end."""
        if self.handle is not None:
            self._show()

    def _say(self, text: str) -> None:
        self.said.append(text)
        self._show()

    def _show(self) -> None:
        self.drawn = time.monotonic()
        shown = {"text/html": self.html(), "text/plain": f"step {self.pace.done}   {self.pace.figures()}"}
        display = importlib.import_module("IPython.display").display
        with unheard():
            if self.handle is None:
                self.handle = display(shown, raw=True, display_id=True)
            else:
                self.handle.update(shown, raw=True)

    def html(self) -> str:
        """The display, without scripts."""
        pace = self.pace
        done = pace.done / pace.steps if pace.steps else 1.0
        figures = (pace.tempo(), pace.work(), size(pace.memory), f"rate {pace.rate:.2e}", f"{pace.left()} left")
        beside = " · ".join(escape(text) for text in figures if text)
        lines = escape("\n".join(self.said[-LINES:]))
        said = f'<div style="opacity:.75;margin-top:4px;white-space:pre-wrap">{lines}</div>'
        if not self.headline:  # the data are being prepared
            return f'<div style="{STYLE}">{said}</div>'
        return (
            f'<div style="{STYLE}"><div style="opacity:.6">{escape(self.headline)}</div>'
            f"<div><b>step {pace.done:,}</b> of {pace.steps:,} · <b>loss {pace.score()}</b></div>"
            '<div style="height:4px;border-radius:2px;background:#8884;margin:4px 0">'
            f'<div style="height:4px;border-radius:2px;background:#2a7f9e;width:{done:.1%}"></div></div>'
            f'{curve(pace.losses)}<div style="opacity:.75">{beside}</div>'
            f"{said}</div>"
        )


def curve(losses: list[tuple[int, float]]) -> str:
    """The smoothed loss over the steps so far, as an SVG picture; "" where there are not two of them."""
    if len(losses) < 2:
        return ""
    steps, values = [step for step, _ in losses], [loss for _, loss in losses]
    low, high = min(values), max(values)
    across, up = WIDE / ((steps[-1] - steps[0]) or 1), (HIGH - 4) / ((high - low) or 1)
    points = " ".join(f"{(s - steps[0]) * across:.1f},{2 + (high - v) * up:.1f}" for s, v in losses)
    return (
        f'<svg width="{WIDE}" height="{HIGH}" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="loss">'
        f'<polyline points="{points}" fill="none" stroke="#2a7f9e" stroke-width="1.6"/></svg>'
    )
