"""How far something long is, for people: a callback, and plain lines now and then."""

import time
from collections.abc import Callable

Advance = Callable[[str, int, int], None]  # what is done, of how many characters, of how many in all (0: not known)

_FIRST, _EVERY = 2.0, 5.0  # seconds before the first line, and between two


def lines(say: Callable[[str], None], every: float = _EVERY) -> Advance:
    """Tells `say` "tokenised 12.0 of 100.0 million characters, 3.0 a second", at most once in `every` seconds."""
    began: dict[str, float] = {}
    latest: dict[str, float] = {}

    def advance(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        began.setdefault(what, now)
        if now - latest.setdefault(what, now - _waited(every)) < every:
            return
        latest[what] = now
        speed = done / 1e6 / max(now - began[what], 1e-9)
        of = f" of {total / 1e6:,.1f}" if total else ""
        say(f"{what} {done / 1e6:,.1f}{of} million characters, {speed:,.1f} a second")

    return advance


def counted(say: Callable[[str], None], what: str, total: int, every: float = _EVERY) -> Callable[[int], None]:
    """Tells `say` "questions: 120 of 872, 30 a second" when called with how many more are done, at most once in `every`
    seconds."""
    began, done = time.monotonic(), 0
    latest = began - _waited(every)

    def advance(more: int) -> None:
        nonlocal latest, done
        done += more
        now = time.monotonic()
        if now - latest < every:
            return
        latest = now
        say(f"{what}: {done:,} of {total:,}, {done / (now - began):,.1f} a second")

    return advance


def _waited(every: float) -> float:
    """Seconds that count as waited for already when something begins: its first line comes sooner."""
    return max(0.0, every - _FIRST)
