"""What a person sees of a run: a bar with figures on a terminal, sparse lines in a file, or nothing.

The losses shown are smoothed (a running mean over about 20 steps); the log holds those of each step.
"""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

SMOOTHING = 0.9
BLOCKS = "▁▂▃▄▅▆▇█"
BAR = 36  # characters: the bar, and under it the small picture of the loss
HISTORY = 2000  # losses kept for that picture, however long the run
LINES = 20  # a run's share of lines where there is no terminal
PATIENCE = 30.0  # seconds after which a line is printed anyway


@dataclass(frozen=True)
class Record:
    """What there is to say of one step; a line of the log."""

    step: int  # steps done, this one included
    loss: float | None  # None where the step was skipped
    terms: dict[str, float]  # the losses by name, unweighted
    rate: float
    norm: float  # of the gradient, before clipping
    tokens: int  # read since the run began, padding left out
    seconds: float  # spent in steps since the run began
    tokens_per_second: float  # of this step


class Watcher:
    """Sees nothing and says nothing: the face the loop talks to, and the silent choice."""

    def begin(self, steps: int, done: int, headline: str) -> None:
        """A run of `steps` begins, of which `done` are done already."""

    def step(self, record: Record) -> None:
        """An update was taken."""

    def evaluated(self, step: int, values: Mapping[str, float | None]) -> None:
        """The evaluator was run."""

    def saved(self, step: int, path: Path) -> None:
        """A checkpoint was written."""

    def notice(self, text: str) -> None:
        """Something a person should know."""

    def close(self) -> None:
        """The run is over, or broke off."""

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self.close()


class Pace:
    """Running figures: the smoothed loss and speed, and the time that is left."""

    def __init__(self, steps: int, done: int):
        self.steps, self.first, self.done = steps, done, done
        self.began = time.monotonic()
        self.loss: float | None = None
        self.speed: float | None = None
        self.rate = 0.0

    def add(self, record: Record) -> None:
        self.done, self.rate = record.step, record.rate
        self.speed = _smooth(self.speed, record.tokens_per_second)
        if record.loss is not None:
            self.loss = _smooth(self.loss, record.loss)

    def left(self) -> str:
        taken = self.done - self.first
        if not taken:
            return "-:--"
        return clock((time.monotonic() - self.began) / taken * (self.steps - self.done))

    def figures(self) -> str:
        loss = "-" if self.loss is None else f"{self.loss:.4f}"
        return f"loss {loss}   rate {self.rate:.2e}   {thousands(self.speed or 0)} tokens/s"


class PlainWatcher(Watcher):
    """About twenty lines a run, whole and without colour: for files, pipes and continuous integration."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.pace = Pace(1, 0)
        self.printed = 0.0
        self.gone = False

    def _say(self, text: str) -> None:
        self.printed = time.monotonic()
        if self.gone:
            return
        try:
            print(text, file=self.stream, flush=True)
        except (BrokenPipeError, ValueError):  # who was listening has left (`| head`); the run is worth more than that
            self.gone = True

    def begin(self, steps: int, done: int, headline: str) -> None:
        self.pace = Pace(steps, done)
        self._say(headline)

    def step(self, record: Record) -> None:
        pace = self.pace
        pace.add(record)
        due = record.step % max(1, pace.steps // LINES) == 0 or record.step in (pace.first + 1, pace.steps)
        if due or time.monotonic() - self.printed > PATIENCE:
            self._say(
                f"step {record.step:>{len(str(pace.steps))}}/{pace.steps}   {pace.figures()}   left {pace.left()}"
            )

    def evaluated(self, step: int, values: Mapping[str, float | None]) -> None:
        self._say(f"step {step} evaluation: {listed(values)}")

    def saved(self, step: int, path: Path) -> None:
        self._say(f"step {step} saved: {path}")

    def notice(self, text: str) -> None:
        self._say(f"note: {text}")


class LiveWatcher(Watcher):
    """Two quiet lines at the bottom of a terminal; evaluations, saves and notices scroll above them."""

    def __init__(self, console: Console):
        self.console = console
        self.pace = Pace(1, 0)
        self.losses: list[float] = []
        self.live = Live(console=console, refresh_per_second=5, get_renderable=self._draw)

    def begin(self, steps: int, done: int, headline: str) -> None:
        self.pace = Pace(steps, done)
        self.console.print(Text(headline, style="dim"))
        self.live.start()

    def step(self, record: Record) -> None:
        self.pace.add(record)
        if self.pace.loss is not None and record.step % max(1, self.pace.steps // HISTORY) == 0:
            self.losses.append(self.pace.loss)

    def evaluated(self, step: int, values: Mapping[str, float | None]) -> None:
        self._say(f"{step:>8}", f"evaluation  {listed(values)}", "cyan")

    def saved(self, step: int, path: Path) -> None:
        self._say(f"{step:>8}", f"saved  {path}", "dim")

    def notice(self, text: str) -> None:
        self._say("    note", text, "yellow")

    def close(self) -> None:
        if self.live.is_started:
            self.live.stop()

    def _say(self, left: str, text: str, style: str) -> None:
        self.console.print(Text.assemble((left, "dim"), "  ", (text, style)))

    def _draw(self) -> Table:
        pace = self.pace
        grid = Table.grid(padding=(0, 2))
        head = f"{pace.done:>8}"
        bar = ProgressBar(total=pace.steps, completed=pace.done, width=BAR, complete_style="cyan")
        grid.add_row(Text(head, style="bold"), bar, Text(f"of {pace.steps}   left {pace.left()}", style="dim"))
        grid.add_row("", Text(picture(self.losses), style="cyan"), Text(pace.figures()))
        return grid


def choose_watcher(*, silent: bool = False, stream: TextIO | None = None) -> Watcher:
    """A live display on a terminal, lines elsewhere, nothing if `silent`. Standard error by default."""
    if silent:
        return Watcher()
    target: TextIO = sys.stderr if stream is None else stream
    console = Console(file=target, highlight=False)
    return LiveWatcher(console) if console.is_terminal and not console.is_dumb_terminal else PlainWatcher(target)


def picture(losses: list[float], width: int = BAR) -> str:
    """A curve one character high: each block the mean of its share of the run."""
    if len(losses) < 2:
        return ""
    edges = [len(losses) * place // width for place in range(width + 1)]
    shares = [losses[start:stop] for start, stop in pairwise(edges) if stop > start]
    means = [sum(share) / len(share) for share in shares]
    low, high = min(means), max(means)
    return "".join(BLOCKS[round((mean - low) / ((high - low) or 1) * (len(BLOCKS) - 1))] for mean in means)


def listed(values: Mapping[str, float | None]) -> str:
    """`loss 3.1416   perplexity 23.14`."""
    return "   ".join(f"{name} {'not finite' if value is None else f'{value:.4g}'}" for name, value in values.items())


def thousands(number: float) -> str:
    """950, 7.3k, 1.2M."""
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.1f}{unit}"
    return f"{number:.0f}"


def clock(seconds: float) -> str:
    """1:05, 2:03:10."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _smooth(old: float | None, new: float) -> float:
    return new if old is None else SMOOTHING * old + (1 - SMOOTHING) * new
