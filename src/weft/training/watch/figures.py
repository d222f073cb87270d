"""A run's running figures, and numbers as people read them.

The losses shown are smoothed (a running mean over about 20 steps); the log holds those of each step.
"""

import time
from collections.abc import Mapping
from itertools import pairwise

from weft.training.watch.record import Record

SMOOTHING = 0.9
BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 36  # characters of the small picture of the loss
HISTORY = 2000  # losses kept for that picture, however long the run


class Pace:
    """Running figures: the smoothed loss and speed, and the time that is left."""

    def __init__(self, steps: int, done: int, peak: float = 0.0):
        self.steps, self.first, self.done, self.peak = steps, done, done, peak
        self.began = time.monotonic()
        self.loss: float | None = None
        self.losses: list[tuple[int, float]] = []  # at most about HISTORY of them
        self.speed: float | None = None
        self.gflops: float | None = None
        self.memory: int | None = None
        self.rate = self.norm = 0.0
        self.unit = "tokens"

    def add(self, record: Record) -> None:
        """Take a step in."""
        if self.done == self.first + 1:
            self.speed = self.gflops = None  # the first step, in which kernels are prepared, says little of the others
        self.done, self.rate, self.norm, self.memory = record.step, record.rate, record.norm, record.memory
        self.unit, self.speed = record.unit, _smooth(self.speed, record.tokens_per_second)
        if record.gflops is not None:
            self.gflops = _smooth(self.gflops, record.gflops)
        if record.loss is not None:
            self.loss = _smooth(self.loss, record.loss)
            if record.step % max(1, self.steps // HISTORY) == 0:
                self.losses.append((record.step, self.loss))

    def left(self) -> str:
        """The time that is left, at the pace so far."""
        taken = self.done - self.first
        if not taken:
            return "-:--"
        return clock((time.monotonic() - self.began) / taken * (self.steps - self.done))

    def score(self) -> str:
        """The loss."""
        return "-" if self.loss is None else f"{self.loss:.4f}"

    def tempo(self) -> str:
        """Tokens a second, or rows where those are counted."""
        return "-" if self.speed is None else f"{thousands(self.speed)} {self.unit}/s"

    def work(self) -> str:
        """Operations a second, and their share of the measured peak; "" where they were not counted."""
        if self.gflops is None:
            return ""
        share = f"{self.gflops / self.peak:.0%} of the peak, " if self.peak else ""
        return share + flops(self.gflops)

    def figures(self) -> str:
        """All of it, on a line."""
        parts = (f"loss {self.score()}", f"rate {self.rate:.2e}", self.tempo(), self.work(), size(self.memory))
        return "   ".join(part for part in parts if part)


def picture(losses: list[float], width: int = WIDTH) -> str:
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
    """950, 7.3k, 1.2M, 7.0B."""
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.1f}{unit}"
    return f"{number:.0f}"


def flops(gflops: float) -> str:
    """412 GFLOP/s, 1.2 TFLOP/s."""
    if gflops >= 1e3:
        return f"{gflops / 1e3:.1f} TFLOP/s"
    return f"{gflops:.0f} GFLOP/s" if gflops >= 10 else f"{gflops:.2g} GFLOP/s"


def work(count: float) -> str:
    """412 GFLOP, 1.6 TFLOP: operations, not their rate."""
    for limit, unit in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}FLOP"
    return f"{count:,.0f} FLOP"


def size(count: float | None) -> str:
    """412 MB, 1.2 GB; "" where it is not known."""
    if count is None:
        return ""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def clock(seconds: float) -> str:
    """1:05, 2:03:10."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _smooth(old: float | None, new: float) -> float:
    return new if old is None else SMOOTHING * old + (1 - SMOOTHING) * new
