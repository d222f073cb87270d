"""The face the loop talks to."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from weft.training.watch.record import Record


class Watcher:
    """Sees nothing and says nothing: what a watcher may see, and the silent choice."""

    def begin(self, steps: int, done: int, headline: str, peak: float = 0.0) -> None:
        """A run of `steps` begins, of which `done` are done already. peak: GFLOP/s of matrix products that were
        measured, over all processes; 0 = not measured."""

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self.close()


class Several(Watcher):
    """Tells each of `watchers`, in order."""

    def __init__(self, watchers: Sequence[Watcher]):
        self.watchers = tuple(watchers)

    def begin(self, steps: int, done: int, headline: str, peak: float = 0.0) -> None:
        """All begin."""
        self._each(lambda watcher: watcher.begin(steps, done, headline, peak))

    def step(self, record: Record) -> None:
        """All are told."""
        self._each(lambda watcher: watcher.step(record))

    def evaluated(self, step: int, values: Mapping[str, float | None]) -> None:
        """All are told."""
        self._each(lambda watcher: watcher.evaluated(step, values))

    def saved(self, step: int, path: Path) -> None:
        """All are told."""
        self._each(lambda watcher: watcher.saved(step, path))

    def notice(self, text: str) -> None:
        """All are told."""
        self._each(lambda watcher: watcher.notice(text))

    def close(self) -> None:
        """All are closed, also where one of them fails."""
        failed: list[Exception] = []
        for watcher in self.watchers:
            try:
                watcher.close()
            except Exception as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def _each(self, tell: Callable[[Watcher], None]) -> None:
        for watcher in self.watchers:
            tell(watcher)
