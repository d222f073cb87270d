"""Lines of text, for where nothing can be drawn twice."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from weft.training.watch.figures import Pace, listed
from weft.training.watch.outlet import outlet
from weft.training.watch.record import Record
from weft.training.watch.watcher import Watcher

LINES = 20  # a run's share of lines
PATIENCE = 30.0  # seconds after which a line is printed anyway


class PlainWatcher(Watcher):
    """About twenty lines a run, whole and without colour: for files, pipes and continuous integration."""

    def __init__(self, stream: TextIO):
        self.stream = outlet(stream)
        self.pace = Pace(1, 0)
        self.printed = 0.0

    def begin(self, steps: int, done: int, headline: str, peak: float = 0.0) -> None:
        """The headline."""
        self.pace = Pace(steps, done, peak)
        self._say(headline)

    def step(self, record: Record) -> None:
        """A line now and then; the first and the last step always have one."""
        pace = self.pace
        pace.add(record)
        due = record.step % max(1, pace.steps // LINES) == 0 or record.step in (pace.first + 1, pace.steps)
        if due or time.monotonic() - self.printed > PATIENCE:
            self._say(
                f"step {record.step:>{len(str(pace.steps))}}/{pace.steps}   {pace.figures()}   left {pace.left()}"
            )

    def evaluated(self, step: int, values: Mapping[str, float | None]) -> None:
        """A line."""
        self._say(f"step {step} evaluation: {listed(values)}")

    def saved(self, step: int, path: Path) -> None:
        """A line."""
        self._say(f"step {step} saved: {path}")

    def notice(self, text: str) -> None:
        """A line."""
        self._say(f"note: {text}")

    def _say(self, text: str) -> None:
        self.printed = time.monotonic()
        print(text, file=self.stream, flush=True)
