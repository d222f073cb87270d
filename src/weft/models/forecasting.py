"""An encoder of series that tells how far a simpler answer is wrong: of what follows a linear autoregression, as Lai et
al. 2018 (LSTNet, §3.6) have one beside their network; of what is hidden the line between what is seen beside it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.nn import Auxiliary, Encoder, Layout, Linear, Stack
from weft.nn.encoder import Head
from weft.nn.stem import Stem
from weft.nn.vectors import VectorHead


class Departure(VectorHead):
    """A simpler answer, which stands behind the state, and by how much it is wrong: x [.., D + C] -> out(x[: D]) +
    x[D :], [.., C]. It begins at the simpler answer."""

    def forward(self, x: Tensor, table: Tensor | None = None) -> Tensor:
        width = self.out.width_in
        return self.out(x[..., :width]) + x[..., width:]  # [.., C]

    def reset(self) -> None:
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)


class Autoregressive(nn.Module):
    """x_t + P x_t + Σ_j B_j (x_{t-j+1} - x_{t-j}) + b, j = 1 … lags - 1: any linear autoregression of `lags` vectors,
    written so that its weights are of about one size where a series moves slowly. All 0, as it begins, it tells that
    nothing changes. Changes from before a row's or a document's beginning are 0. [B, T, C] -> [B, T, C]."""

    def __init__(self, channels: int, lags: int) -> None:
        super().__init__()
        self.lags, self.out = lags, Linear(channels * lags, channels)

    def forward(self, x: Tensor, here: Layout) -> Tensor:
        changes = x - before(x, here, 1)[0]  # [B, T, C]
        changes = changes * before(x, here, 1)[1]
        parts = [x]
        for lag in range(self.lags - 1):
            earlier, there = before(changes, here, lag)
            parts.append(earlier * there)
        moved = self.out(torch.cat(parts, dim=-1).to(self.out.weight.dtype))  # [B, T, C]
        return x + moved.to(x.dtype)

    def reset(self) -> None:
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    @torch.no_grad()
    def begin(self, weights: Tensor, bias: Tensor) -> None:
        """As the autoregression bias + Σ_k weights[k - 1] x_{t-k+1}: weights [order, C, C], order at most `lags`."""
        order, channels, _ = weights.shape
        later = weights.flip(0).cumsum(0).flip(0)  # [order, C, C]: of k = 1 … order, Σ over k and what is behind it
        parts = [later[0] - torch.eye(channels).to(later), *(-later[1:])]
        parts += [torch.zeros_like(later[0])] * (self.lags - order)
        self.out.weight.copy_(torch.cat(parts, dim=1))  # [C, lags · C]
        assert self.out.bias is not None
        self.out.bias.copy_(bias)


class Between(nn.Module):
    """The straight line between the nearest vectors on either side that are not hidden, of which all numbers are 0; at
    a row's or a document's edge the nearest one. [B, T, C] -> [B, T, C]."""

    def forward(self, x: Tensor, here: Layout) -> Tensor:
        length, seen = x.shape[1], (x != 0).any(dim=-1)  # [B, T]
        at = torch.arange(length, device=x.device).expand(seen.shape)
        left = torch.where(seen, at, -1).cummax(dim=1).values  # the nearest seen at or before; -1: none
        right = torch.where(seen, at, length).flip(1).cummin(dim=1).values.flip(1)
        segments = torch.ones_like(at) if here.segments is None else here.segments.expand(at.shape)
        own = [(side.clamp(0, length - 1), (side >= 0) & (side < length)) for side in (left, right)]
        (left, has), (right, follows) = ((side, ok & (segments.gather(1, side) == segments)) for side, ok in own)
        share = ((at - left) / (right - left).clamp(min=1)).clamp(0, 1)  # [B, T]
        share = torch.where(has & follows, share, torch.where(has, 0.0, 1.0)).to(x.dtype)[..., None]
        ends = [x.gather(1, side[..., None].expand(x.shape)) for side in (left, right)]  # [B, T, C]
        line = ends[0] + share * (ends[1] - ends[0])
        return line * (has | follows)[..., None]


class Forecaster(Encoder):
    """Whose heads are told a simpler answer beside their states: forward gives [B, T, D + C].

    beside: what makes it of the vectors, in their own precision: of a series that moves slowly bf16 would round away
    what changes. since: it reads by how much a row's vectors are above its first, so that a level it never saw is
    nothing new; else the vectors as they are.
    """

    def __init__(
        self, embed: Stem, stack: Stack, heads: Mapping[str, Head], beside: Autoregressive | Between, *, since: bool
    ) -> None:
        super().__init__(embed, stack, heads)
        self.beside, self.since = beside, since

    def forward(
        self, tokens: Tensor, here: Layout | None = None, types: Tensor | None = None
    ) -> tuple[Tensor, Auxiliary]:
        """Vectors [B, T, C] -> states and the simpler answer, [B, T, D + C]."""
        here = here or Layout()
        x, auxiliary = super().forward(above_first(tokens, here) if self.since else tokens, here, types)
        with torch.autocast(x.device.type, enabled=False):
            simpler = self.beside(tokens, here)  # [B, T, C]
        return torch.cat((x.to(simpler.dtype), simpler), dim=-1), auxiliary  # [B, T, D + C]


def before(x: Tensor, here: Layout, lag: int) -> tuple[Tensor, Tensor]:
    """What stood `lag` places before, [B, T, C], and whether that was in the same document, fp [B or 1, T, 1]."""
    length = x.shape[1]
    shifted = functional.pad(x, (0, 0, lag, 0))[:, :length]
    there = torch.arange(length, device=x.device)[None] >= lag  # [1, T]
    if here.segments is not None:
        there = there & (functional.pad(here.segments, (lag, 0))[:, :length] == here.segments)
    return shifted, there[..., None].to(x.dtype)


def above_first(x: Tensor, here: Layout) -> Tensor:
    """Vectors less the first of their document, [B, T, C]."""
    order = here.numbered(x.shape[1], x.device).order
    assert order is not None
    at = (torch.arange(x.shape[1], device=x.device) - order).clamp(min=0).expand(x.shape[:2])  # [B, T]
    return x - x.gather(1, at[..., None].expand(x.shape))
