"""Leaving on request, between two steps and never in the middle of one."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and what a cluster sends before it takes the machine


class Interrupt:
    """Inside it, the first Ctrl-C (or stop signal) only sets `asked`; a second one acts as it would outside.

    What is ignored stays so: a shell starts what runs in the background deaf to the Ctrl-C of what does not.
    """

    def __init__(self) -> None:
        self.asked = False
        self.before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python takes no handlers
            known = {number: signal.getsignal(number) for number in SIGNALS}
            self.before = {number: old for number, old in known.items() if old not in (signal.SIG_IGN, None)}
            for number in self.before:
                signal.signal(number, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._restore()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
        self.before = {}
