"""Checkpoints written while training goes on: one at a time, from copies that nothing else touches."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Self

from weft.training.world import Elsewhere


class Saver:
    """Does its tasks one after the other, in a thread where `background`; a task's error is raised at the first call
    after it."""

    def __init__(self, background: bool):
        self.pool = ThreadPoolExecutor(1, "weft-saver") if background else None
        self.running: Future[None] | None = None

    def submit(self, task: Callable[[], None]) -> None:
        """Do `task` once the one before it is done."""
        self.wait()
        if self.pool is None:
            task()
        else:
            self.running = self.pool.submit(task)

    def check(self) -> None:
        """Raise the error of a task that has failed; waits for none. That of another process is left to that process,
        which knows why and may hear of it a moment later."""
        if self.running is not None and self.running.done():
            with suppress(Elsewhere):
                self.wait()

    def wait(self) -> None:
        """Return when nothing is left to do; raise the error of what was."""
        running, self.running = self.running, None
        if running is not None:
            running.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        """Finish what was begun, also where the run broke off; its error is raised, or said in a note to the other."""
        if self.pool is not None:
            self.pool.shutdown(wait=True)
        try:
            self.wait()
        except Exception as failed:
            if error is None:
                raise
            error.add_note(str(failed))
