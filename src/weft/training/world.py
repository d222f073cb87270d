"""The processes of a run, and what they say to one another. Alone, all of it is the identity."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


class Elsewhere(ValueError):
    """Another process of the run failed; the text says which, and how."""


@dataclass(frozen=True)
class World:
    """One of `size` processes. Every method is called by all of them at the same point."""

    rank: int = 0
    size: int = 1
    group: dist.ProcessGroup | None = None  # the channel they speak on; None = the usual one

    @property
    def main(self) -> bool:
        """Whether this process speaks for all: it writes, logs and draws."""
        return self.rank == 0

    def gather(self, value: T) -> list[T]:
        """Every process's value, in the order of ranks."""
        if self.size == 1:
            return [value]
        found: list[T] = [value] * self.size
        with _heard():
            dist.all_gather_object(found, value, group=self.group)
        return found

    def any(self, flag: bool) -> bool:
        """Whether it is true anywhere."""
        return any(self.gather(flag))

    def first(self, value: T) -> T:
        """The main process's value."""
        if self.size == 1:
            return value
        found = [value]
        with _heard():
            dist.broadcast_object_list(found, src=0, group=self.group)
        return found[0]

    def total(self, counts: Sequence[Mapping[str, int]]) -> Counter[str]:
        """Counts added up by name, over all processes."""
        mine = Counter[str]()
        for one in counts:
            mine.update(one)
        result = Counter[str]()
        for one in self.gather(mine):
            result.update(one)
        return result

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Numbers added up place by place, over all processes."""
        return [sum(column) for column in zip(*self.gather(list(numbers)), strict=True)]

    def agreed(self, task: Callable[[], T]) -> T:
        """What `task` gives here, once it is done on all; where it fails on one, all raise (the others Elsewhere).

        So that nobody waits for one that has left. `task` itself speaks to no other process, or fails on all alike.
        """
        if self.size == 1:
            return task()
        try:
            result, problem = [task()], None
        except Exception as error:
            result, problem = [], error
        try:
            said = self.gather("" if problem is None else f"{type(problem).__name__}: {problem}")
        finally:
            if problem is not None:
                raise problem
        if failed := [f"process {rank}: {text}" for rank, text in enumerate(said) if text]:
            raise Elsewhere(failed[0])
        return result[0]

    def asked(self, task: Callable[[], T]) -> T:
        """What `task`, done by the main process alone, gives; where it fails, all raise."""
        nothing: list[T] = []
        return self.first(self.agreed(lambda: [task()] if self.main else nothing))[0]

    def apart(self) -> "World":
        """The same processes on a channel of their own, for another thread."""
        return self if self.size == 1 else replace(self, group=dist.new_group(backend="gloo"))


ALONE = World()


@contextmanager
def _heard() -> Iterator[None]:
    """Elsewhere, where nobody answers any more."""
    try:
        yield
    except RuntimeError as error:  # all that torch tells
        raise Elsewhere(
            "another process of the run has left without a word: killed, or out of memory; its own output may say why. "
            "The last checkpoint is intact: resume from it"
        ) from error


def join() -> World:
    """The processes that torchrun has started, joined into one group; alone where it has not."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return ALONE
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group(backend)
    return World(dist.get_rank(), dist.get_world_size())


def leave() -> None:
    """Take the group apart, where there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def place(device: str) -> torch.device:
    """The device that a word names for this process. ValueError where this machine has none of the kind."""
    here, named = int(os.environ.get("LOCAL_RANK", "0")), device
    if device == "auto":
        named = f"cuda:{here}" if torch.cuda.is_available() else "cpu"
    elif device == "cuda":
        named = f"cuda:{here}"
    try:
        found = torch.device(named)
    except RuntimeError as error:
        raise ValueError(f"device {device!r} is unknown: auto, cpu, cuda, cuda:1 or mps") from error
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(found.type, False):
        raise ValueError(
            f"device {device!r} is not on this machine; there: {', '.join(k for k, v in there.items() if v)}"
        )
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {device!r}: this machine has {torch.cuda.device_count()} GPUs, numbered from 0")
    return found
