"""Rows that count upwards, and an objective over them, in no part of weft's making: for test_training and processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor, nn

from weft.batch import IGNORED, Batch, Place
from weft.data.order import Shuffled

VOCAB, WIDTH, LENGTH, SAMPLES = 23, 16, 12, 37  # 37 samples divide by nothing


@dataclass
class Samples(Shuffled):
    """Tokens that count upwards, and labels of ragged length; every sample drawn is noted."""

    bare: Callable[[int], bool] = lambda index: False  # samples none of whose labels counts
    before: Callable[[], None] = lambda: None  # what happens before each batch
    size: int = SAMPLES

    def __post_init__(self) -> None:
        self.drawn: list[list[int]] = []

    def __len__(self) -> int:
        return self.size

    def batch(self, places: Sequence[Place]) -> Batch:
        self.before()
        indices = [index for _, index in places]
        self.drawn.append(indices)
        starts = torch.tensor([[(index * 7 + epoch) % VOCAB] for epoch, index in places])  # [B, 1]
        rows = (starts + torch.arange(LENGTH + 1)) % VOCAB  # [B, T + 1]
        labels = rows[:, 1:].clone()  # [B, T]
        for row, index in enumerate(indices):
            labels[row, : LENGTH if self.bare(index) else index % LENGTH] = IGNORED
        return Batch(rows[:, :-1], labels, samples=tuple(indices))


class Term:
    """A stranger's own, which torch's DDP could not look into."""

    def __init__(self, total: Tensor, count: int, weight: float = 1.0):
        self.sum, self.count, self.weight = total, count, weight


class Next:
    """Next-token prediction and a penalty; `spoil` is what comes of the first one's sum."""

    def __init__(self, spoil: Callable[[Tensor], Tensor] = lambda total: total):
        self.spoil = spoil

    def counts(self, batch: Batch) -> dict[str, int]:
        assert batch.labels is not None
        counted = int((batch.labels != IGNORED).sum())
        return {"next": counted, "size": counted}

    def losses(self, module: nn.Module, batch: Batch) -> dict[str, Term]:
        assert batch.labels is not None
        logits, kept, counted = module(batch.tokens).float(), batch.labels != IGNORED, self.counts(batch)["next"]
        total = nn.functional.cross_entropy(logits[kept], batch.labels[kept], reduction="sum")
        size = logits[kept].square().mean(-1).sum()
        return {"next": Term(self.spoil(total), counted), "size": Term(size, counted, 1e-3)}


def at(number: int, act: Callable[[], None]) -> Callable[[], None]:
    """Does nothing but at its `number`-th call, where it does `act`."""
    calls = count(1)
    return lambda: act() if next(calls) == number else None
