"""The ids that stand for what is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Marks:
    """What noise writes into a text.

    mask:      the id of a hidden token.
    sentinels: ids that stand for spans, the first for the first of a text; none twice.
    vocab:     random tokens are any of the ids below it.

    ValueError for a vocabulary without ids, or a sentinel that is given twice.
    """

    mask: int
    sentinels: Sequence[int]
    vocab: int

    def __post_init__(self) -> None:
        if self.vocab < 1:
            raise ValueError(f"vocab = {self.vocab}, but a random token needs at least one id to be drawn from")
        if len(set(self.sentinels)) < len(self.sentinels):
            raise ValueError(
                f"{len(self.sentinels)} sentinels have {len(set(self.sentinels))} ids: give each span its own"
            )

    def around(self, spans: int) -> Tensor:
        """A sentinel for each span and one behind the last, int64 [spans + 1]. ValueError where there are fewer."""
        if spans + 1 > len(self.sentinels):
            raise ValueError(
                f"{spans} hidden spans need {spans + 1} sentinels (one ends the targets), and there are "
                f"{len(self.sentinels)}: hide a smaller share, longer spans or parts of shorter texts, or take a "
                "tokenizer with more sentinels"
            )
        return torch.tensor(self.sentinels[: spans + 1])
