"""The processes of a run, and what they say to one another. Alone, all of it is the identity."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """One of `size` processes. Every method is called by all of them at the same point."""

    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        """Whether this process speaks for all: it writes, logs and draws."""
        return self.rank == 0

    def gather(self, value: T) -> list[T]:
        """Every process's value, in the order of ranks."""
        if self.size == 1:
            return [value]
        found: list[T] = [value] * self.size
        dist.all_gather_object(found, value)
        return found

    def any(self, flag: bool) -> bool:
        """Whether it is true anywhere."""
        return any(self.gather(flag))

    def first(self, value: T) -> T:
        """The main process's value."""
        if self.size == 1:
            return value
        found = [value]
        dist.broadcast_object_list(found, src=0)
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

    def together(self) -> None:
        """Wait until all are here."""
        if self.size > 1:
            dist.barrier()


ALONE = World()


def join() -> World:
    """The processes that torchrun has started, joined into one group; alone where it has not."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return ALONE
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend)
    return World(dist.get_rank(), dist.get_world_size())


def leave() -> None:
    """Take the group apart, where there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def place(device: str) -> torch.device:
    """The device that a word names for this process. ValueError where this machine has none of the kind."""
    here = int(os.environ.get("LOCAL_RANK", "0"))
    if device == "auto":
        device = f"cuda:{here}" if torch.cuda.is_available() else "cpu"
    elif device == "cuda":
        device = f"cuda:{here}"
    try:
        found = torch.device(device)
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
