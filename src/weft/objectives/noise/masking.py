"""What becomes of the places that were chosen: masked, replaced by a random token, or kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from weft.objectives.noise.spans import Span

KEPT, HIDDEN, RANDOM = 0, 1, 2


class Changes(NamedTuple):
    """fates: KEPT, HIDDEN or RANDOM for each place, int64 [n]; others: the random tokens, int64 [n]."""

    fates: Tensor
    others: Tensor

    def apply(self, ids: Tensor, mask: int) -> Tensor:
        """The text as it is read, int64 [n]."""
        return torch.where(self.fates == RANDOM, self.others, ids).masked_fill(self.fates == HIDDEN, mask)


@dataclass(frozen=True)
class Replacement:
    """Of the chosen, `hidden` become the mask and `random` any token; the others are kept (Devlin et al. 2019, §3.1:
    80, 10 and 10 %). What becomes of one is drawn by itself. ValueError for shares that cannot be."""

    hidden: float = 0.8
    random: float = 0.1

    def __post_init__(self) -> None:
        if not (self.hidden >= 0 and self.random >= 0 and self.hidden + self.random <= 1):
            raise ValueError(
                f"hidden = {self.hidden} and random = {self.random}: they are at least 0, and at most 1 together"
            )

    def tokens(self, chosen: Tensor, vocab: int, draw: Generator) -> Changes:
        """Each place of `chosen`, bool [n], has a fate of its own."""
        fates = torch.full(chosen.shape, KEPT)
        fates[chosen] = self._fates(int(chosen.sum()), draw)
        return Changes(fates, torch.randint(vocab, chosen.shape, generator=draw))

    def spans(self, spans: list[Span], n: int, vocab: int, draw: Generator) -> Changes:
        """All places of a span share one fate (Joshi et al. 2020, §3.1); random tokens differ from place to place."""
        fates = torch.full((n,), KEPT)
        for (start, stop), fate in zip(spans, self._fates(len(spans), draw).tolist(), strict=True):
            fates[start:stop] = fate
        return Changes(fates, torch.randint(vocab, (n,), generator=draw))

    def _fates(self, count: int, draw: Generator) -> Tensor:
        """int64 [count]."""
        dice = torch.rand(count, generator=draw)
        fates = torch.full((count,), KEPT).masked_fill(dice < self.hidden + self.random, RANDOM)
        return fates.masked_fill(dice < self.hidden, HIDDEN)
