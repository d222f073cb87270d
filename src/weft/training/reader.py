"""The rows of each step, drawn in the order of the data set, ahead of time where asked for."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self

import torch

from weft.batch import Dataset, Item
from weft.training.settings import TrainSettings
from weft.training.strangers import Once
from weft.training.world import World


class Reader:
    """Gives the micro-batches of one step after the other, from `position` on, on `device`.

    The next `batch` samples of the order are cut into micro_batches x processes parts; this process takes its own. With
    `workers` threads, so many steps are drawn ahead: the same samples in the same order, several read at once.
    """

    def __init__(
        self, dataset: Dataset[Item], settings: TrainSettings, world: World, device: torch.device, position: int
    ):
        self.dataset, self.settings, self.world, self.device = dataset, settings, world, device
        self.next_position = position
        threads = min(settings.workers, 1) if isinstance(dataset, Once) else settings.workers  # one reads in order
        self.pool = ThreadPoolExecutor(threads, "weft-reader") if threads else None
        self.ahead: deque[Callable[[], list[Item]]] = deque()

    def peek(self, after: int = 0) -> list[Item]:
        """The rows of the next step, or of a step after it, which `next` will give again."""
        self._fill(after + 1)
        batches = self.ahead[after]()
        self.ahead[after] = lambda: batches
        return batches

    def next(self) -> list[Item]:
        """The rows of the next step."""
        self._fill()
        batches = self.ahead.popleft()()
        if self.pool is not None:
            self._fill()
        return batches

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        """Let the threads go."""
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def _fill(self, least: int = 1) -> None:
        while len(self.ahead) < max(least, self.settings.workers):
            position, self.next_position = self.next_position, self.next_position + self.settings.batch
            if self.pool is None:
                self.ahead.append(partial(self._draw, position))
            else:
                self.ahead.append(self.pool.submit(self._draw, position).result)

    def _draw(self, position: int) -> list[Item]:
        return [batch.to(self.device) for batch in draw(self.dataset, position, self.settings, self.world)]


def draw(dataset: Dataset[Item], position: int, settings: TrainSettings, world: World) -> list[Item]:
    """This process's micro-batches of the step that begins at `position`. ValueError where its rows do not split."""
    parts = settings.micro_batches * world.size
    if settings.batch % parts:
        raise ValueError(
            f"a batch of {settings.batch} rows does not split into {settings.micro_batches} micro_batches on each of "
            f"{world.size} processes; set batch={-(-settings.batch // parts) * parts}"
        )
    rows = settings.batch // parts
    starts = [position + (part * world.size + world.rank) * rows for part in range(settings.micro_batches)]
    return [
        dataset.batch([dataset.place(number, settings.seed) for number in range(start, start + rows)])
        for start in starts
    ]
