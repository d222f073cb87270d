"""What MAE (He et al. 2022) has of its own: fixed positions on a grid, and a head that paints hidden patches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from weft.models.patches import Patched, layers
from weft.nn import Attention, Context, Head, Layout, Linear, Scheme, StemPosition

FIRST = 1  # the class token


class Grid(StemPosition):
    """Fixed vectors: zeros for the class token; for a patch the sines and cosines of its column, then those of its row,
    all sines before all cosines (as the authors' code, whose names say row first). weight [1 + side², D]: kept with the
    weights, not trained."""

    weight: Tensor

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        if width % 4:
            raise ValueError(f"sines and cosines of rows and columns are quarters of a width, which {width} has not")
        self.context = context
        self.register_buffer("weight", torch.empty(context, width))
        self.reset()

    def reset(self) -> None:
        """Compute them anew."""
        rows, width = self.weight.shape
        place = torch.arange(math.isqrt(rows - FIRST), device="cpu", dtype=torch.float64)
        pace = 10000.0 ** -(torch.arange(width // 4, device="cpu", dtype=torch.float64) * 4 / width)
        angle = torch.outer(place, pace)  # [side, D/4]
        waves = torch.cat((angle.sin(), angle.cos()), dim=1)  # [side, D/2]
        columns, lines = waves.repeat(len(place), 1), waves.repeat_interleave(len(place), dim=0)  # [side², D/2]
        first = torch.zeros(FIRST, width, device="cpu")
        self.weight.copy_(torch.cat((first, torch.cat((columns, lines), dim=1))))

    def add(self, x: Tensor, here: Layout) -> Tensor:
        return x + nn.functional.embedding(here.places, self.weight).to(x.dtype)


@dataclass(frozen=True)
class GridScheme(Scheme):
    """See `Grid`."""

    def stem(self, width: int, context: int) -> StemPosition:
        return Grid(context, width)


class PatchHead(Head):
    """What every patch holds, of the states of those that were seen: one vector stands for each of the others, and
    layers of the head's own look at all (§3). States [B, 1 + V, D] -> [B, P, C]."""

    def __init__(self, width: int, c: Patched, scheme: Scheme, attention: type[Attention]) -> None:
        """width: of the states; c: the sizes of the head's own layers."""
        super().__init__()
        self.lift, self.mask = Linear(width, c.width), nn.Parameter(torch.empty(1, c.width))
        self.patches, self.channels = c.context, c.channels
        self.position, self.stack = scheme.stem(c.width, c.context + FIRST), layers(c, scheme, attention)
        self.out = Linear(c.width, c.channels * c.patch**2)
        self.reset()

    def reset(self) -> None:
        nn.init.normal_(self.mask, std=0.02)

    def forward(self, x: Tensor, table: Tensor | None = None, order: Tensor | None = None) -> Tensor:
        """order: places of what was seen, int64 [B, V]; None: all were. ValueError where they are not as many."""
        seen = x.shape[1] - FIRST
        if (self.patches if order is None else order.shape[1]) != seen:
            said = "no places" if order is None else f"places {list(order.shape)}"
            raise ValueError(f"states of {seen} of {self.patches} patches and {said}: say of each where it stands")
        x = self.lift(x)  # [B, 1 + V, E]
        if order is not None:
            every = self.mask.to(x.dtype).expand(len(x), self.patches, -1)  # [B, P, E]
            places = order[..., None].expand(len(x), -1, x.shape[-1])  # [B, V, E]
            x = torch.cat((x[:, :FIRST], every.scatter(1, places, x[:, FIRST:])), dim=1)  # [B, 1 + P, E]
        here = Layout()
        x, _ = self.stack(self.position.add(x, here.numbered(x.shape[1], x.device)), Context(here))
        pixels = self.out(x[:, FIRST:])  # [B, P, C], in the order row, column, channel: as published
        return pixels.unflatten(-1, (-1, self.channels)).mT.flatten(-2)

    def nats(self, x: Tensor, labels: Tensor, table: Tensor | None = None, *, ignored: int = -100) -> Tensor:
        raise ValueError("this head says what patches hold, which has no probability: ask for classes by another head")
