"""What stands before the first layer, whatever it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from weft.nn.layout import Layout
from weft.nn.position import StemPosition

if TYPE_CHECKING:
    from weft.nn.embed import Types


class Stem(nn.Module):
    """What makes the residual stream of rows. weight: a table that a tied head may read; vocab: how many ids it reads,
    0 where it reads vectors alone; channels: how wide the vectors are that it reads; before: how many places it puts
    before a row's own; the rest: see `Embed`."""

    before = 0
    width: int
    weight: nn.Parameter | None
    types: Types | None
    position: StemPosition
    vocab: int = 0
    channels: int

    @property
    def context(self) -> int | None:
        """The longest row it can place; None: any."""
        return self.position.context

    def lay(self, here: Layout, length: int) -> Layout:
        """Where what it makes of rows [B, T] sits: where they did, unless it puts something before them or joins some
        of them."""
        return here

    def extent(self, length: int) -> int:
        """How many places it makes of a row of `length`."""
        return self.before + length

    def read(self, tokens: Tensor, here: Layout, types: Tensor | None = None) -> tuple[Tensor, Layout]:
        """Ids [B, T] or vectors [B, T, C], which sit `here` -> the stream [B, T', D], and where it sits (`lay`)."""
        laid = self.lay(here, tokens.shape[1])
        return self(tokens, laid, types=types), laid

    def blank(self, rows: int, length: int) -> Tensor:
        """Rows without contents, of the kind it reads: ids int64 [B, T] or vectors fp32 [B, T, C], all 0."""
        return torch.zeros(rows, length, dtype=torch.int64) if self.vocab else torch.zeros(rows, length, self.channels)
