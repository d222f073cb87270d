"""Three quiet lines at the bottom of a terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import TextIO, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from weft.training.watch.figures import WIDTH, Pace, listed, picture, size
from weft.training.watch.outlet import outlet
from weft.training.watch.record import Record
from weft.training.watch.watcher import Watcher

NAMES = 7  # characters of the first column
BESIDE = 48  # characters of the panel that are not the bar


class LiveWatcher(Watcher):
    """A panel that stays at the bottom; evaluations, saves and notices scroll above it."""

    def __init__(self, console: Console):
        """The console's stream becomes one that never fails: else rich would end the process when a pipe breaks, and
        its thread, which draws, would die when a terminal goes."""
        console.file = outlet(cast(TextIO, console.file))
        self.console = console
        self.pace = Pace(1, 0)
        self.live = Live(console=console, refresh_per_second=5, get_renderable=self._draw)

    def begin(self, steps: int, done: int, headline: str, peak: float = 0.0) -> None:
        """The headline, and the panel from here on."""
        self.pace = Pace(steps, done, peak)
        self.console.print(Text(headline, style="dim"))
        self.live.start()

    def step(self, record: Record) -> None:
        """The panel shows it when it is drawn next."""
        self.pace.add(record)

    def evaluated(self, step: int, values: Mapping[str, float | None]) -> None:
        """A line above the panel."""
        self._say(f"{step:,}", f"evaluation  {listed(values)}", "cyan")

    def saved(self, step: int, path: Path) -> None:
        """A line above the panel."""
        self._say(f"{step:,}", f"saved  {path}", "dim")

    def notice(self, text: str) -> None:
        """A line above the panel."""
        self._say("note", text, "yellow")

    def close(self) -> None:
        """The panel stays as it was last."""
        if self.live.is_started:
            self.live.stop()

    def _say(self, left: str, text: str, style: str) -> None:
        line = Table.grid(padding=(0, 3, 0, 0))
        line.add_column(style="dim", justify="right", min_width=NAMES)
        line.add_column(style=style, overflow="fold")
        line.add_row(left, Text(text))
        self.console.print(line)

    def _draw(self) -> RenderableType:
        return panel(self.pace, self.console.width)


def panel(pace: Pace, width: int) -> RenderableType:
    """The figures of a run: progress, loss and speed, on a terminal of so many characters."""
    bar = min(WIDTH, width - BESIDE)
    grid = Table.grid(padding=(0, 3, 0, 0))
    grid.add_column(style="dim", justify="right", min_width=NAMES)
    grid.add_column(style="bold", no_wrap=True, min_width=14)
    if bar >= 10:
        grid.add_column(no_wrap=True, width=bar)
    grid.add_column(style="dim", no_wrap=True)
    drawn: tuple[RenderableType, ...] = (
        ProgressBar(total=pace.steps, completed=pace.done, width=bar, complete_style="cyan", finished_style="cyan"),
        Text(picture([loss for _, loss in pace.losses], max(bar, 1)), style="cyan"),
        Text(pace.work(), style="dim", overflow="ellipsis"),
    )
    rows = (
        ("step", f"{pace.done:,} of {pace.steps:,}", f"{pace.left()} left"),
        ("loss", pace.score(), f"rate {pace.rate:.2e}"),
        ("speed", pace.tempo(), size(pace.memory)),
    )
    for (name, value, beside), between in zip(rows, drawn, strict=True):
        middle = (between,) if bar >= 10 else ()
        grid.add_row(name, value, *middle, beside)
    return Group(Text(), grid)
