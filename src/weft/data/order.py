"""The order of samples: a pure function of (seed, epoch), so that where a run stands is one integer."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np

from weft.batch import Place

_WORD = (1 << 64) - 1
_ROUNDS = 6


def mix(*numbers: int) -> int:
    """64 well mixed bits of some integers (the finaliser of splitmix64, chained)."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & _WORD
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _WORD
        state ^= state >> 31
    return state


class Shuffled(ABC):
    """Gives a data set the usual order: every sample once an epoch, each epoch in an order of its own."""

    @abstractmethod
    def __len__(self) -> int:
        """Samples in an epoch."""

    def place(self, position: int, seed: int) -> Place:
        """What is read at `position` of an endless run."""
        return place(position, len(self), seed)


def places(epoch: int, indices: Iterable[int]) -> list[Place]:
    """Samples of one epoch, by number."""
    return [Place(epoch, index) for index in indices]


def place(position: int, size: int, seed: int) -> Place:
    """Which sample is read at `position` of an endless run over `size` samples.

    Each epoch holds every index exactly once, in an order of its own; O(1) in time and memory.
    """
    if size < 1 or position < 0:
        raise ValueError(f"position {position} among {size} samples: a position is at least 0, of at least 1 sample")
    epoch, within = divmod(position, size)
    return Place(epoch, _permute(within, size, mix(seed, epoch)))


def _permute(index: int, size: int, key: int) -> int:
    """A keyed permutation of 0..size-1: a Feistel network on the next even number of bits, walked back into range
    (Black and Rogaway 2002, "Ciphers with arbitrary finite domains")."""
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for number in range(_ROUNDS):
            left, right = right, left ^ (mix(key, number, right) & mask)
        index = left << half | right
        if index < size:
            return index


def mix_many(seed: int, count: int) -> np.ndarray:
    """uint64 [count]: well mixed bits of (seed, 0), (seed, 1) and so on; not those of `mix`."""
    state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(mix(seed))
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
