"""What becomes of the places that were chosen: masked, replaced by a random token, or kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

KEPT, HIDDEN, RANDOM = 0, 1, 2


class Changes(NamedTuple):
    """fates: KEPT, HIDDEN or RANDOM for each place, int64 [n]; others: the random tokens, int64 [n]."""

    fates: Tensor
    others: Tensor

    def apply(self, ids: Tensor, mask: int) -> Tensor:
        """The text as it is read, int64 [n]."""
        return torch.where(self.fates == RANDOM, self.others, ids).masked_fill(self.fates == HIDDEN, mask)

    def among(self, chosen: Tensor) -> Changes:
        """The same of a text in which just these places are `chosen`, bool [m], n of them; the others are KEPT."""
        fates, others = torch.full(chosen.shape, KEPT), torch.zeros(chosen.shape, dtype=torch.int64)
        fates[chosen], others[chosen] = self.fates, self.others
        return Changes(fates, others)


@dataclass(frozen=True)
class Replacement:
    """Of the chosen, `hidden` become the mask and `random` any token; the others are kept (Devlin et al. 2019, §3.1:
    80, 10 and 10 %). ValueError for shares that cannot be."""

    hidden: float = 0.8
    random: float = 0.1

    def __post_init__(self) -> None:
        if not (self.hidden >= 0 and self.random >= 0 and self.hidden + self.random <= 1):
            raise ValueError(
                f"hidden = {self.hidden} and random = {self.random}: they are at least 0, and at most 1 together"
            )

    def drawn(self, groups: Tensor, vocab: int, draw: Generator) -> Changes:
        """What becomes of n chosen places, whose groups are int64 [n], each below n. Places of one group share one fate
        (a span's, Joshi et al. 2020, §3.1); random tokens differ from place to place. arange(n): each has its own."""
        fates = self._fates(len(groups), draw)[groups]
        return Changes(fates, torch.randint(vocab, groups.shape, generator=draw))

    def _fates(self, count: int, draw: Generator) -> Tensor:
        """int64 [count]."""
        dice = torch.rand(count, generator=draw)
        fates = torch.full((count,), KEPT).masked_fill(dice < self.hidden + self.random, RANDOM)
        return fates.masked_fill(dice < self.hidden, HIDDEN)
