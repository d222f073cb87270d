"""Stochastic depth (Huang et al. 2016): branches that are skipped whole."""

from __future__ import annotations

from torch import Tensor, nn


class DropBranch(nn.Module):
    """x [B, T, D] with a whole row 0 with probability `rate`, the others times 1 / (1 - rate), in training mode: behind
    a branch of a residual stream it is skipped in that row (Huang et al. 2016, stochastic depth)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    @classmethod
    def at(cls, rate: float, layer: int, depth: int) -> DropBranch | None:
        """That of a layer, 0 .. depth - 1; rates grow evenly from none to `rate` in the last. None: it has none."""
        own = rate * layer / max(1, depth - 1)
        return cls(own) if own else None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = x.new_empty(len(x), 1, 1).bernoulli_(1 - self.rate)  # [B, 1, 1]
        return x * kept.div_(1 - self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"
