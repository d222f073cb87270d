"""Vectors with their places written beside them, in place of a sum: what Perceivers read of signals."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from weft.nn import Linear
from weft.nn.layout import Layout
from weft.nn.position import LookupTable, StemPosition
from weft.nn.stem import Stem
from weft.nn.tap import Tap
from weft.nn.vectors import check_vectors


class Places(nn.Module, ABC):
    """What tells the places of a row apart. context: how many there are; width: P, of what tells one."""

    context: int
    width: int

    @abstractmethod
    def table(self, device: torch.device) -> Tensor:
        """Of every place, fp32 [context, P]."""


class Fourier(Places):
    """Each coordinate of a place of a grid, from -1 to 1, then sin and cos of it at `bands` frequencies (Jaegle et al.
    2021, §3.2): π times from 1 to half of the resolution, in equal steps. Places are in row-major order.

    A place is [coordinates; sines of the first coordinate, of the next ..; cosines likewise].
    """

    def __init__(self, grid: Sequence[int], bands: int, resolution: Sequence[int]) -> None:
        super().__init__()
        self.grid, self.bands, self.resolution = tuple(grid), bands, tuple(resolution)
        if len(self.grid) != len(self.resolution) or min((bands, *self.resolution)) < 1:
            raise ValueError(
                f"{bands} bands of a resolution of {self.resolution} for a grid of {self.grid}: give at least 1, and a "
                "resolution for each coordinate"
            )
        self.context, self.width = math.prod(grid), len(grid) * (2 * bands + 1)

    def table(self, device: torch.device) -> Tensor:
        axes = [torch.linspace(-1.0, 1.0, size, device=device) for size in self.grid]
        at = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2)  # [N, axes]
        speed = torch.stack([torch.linspace(1.0, size / 2, self.bands, device=device) for size in self.resolution])
        angle = math.pi * (at[:, :, None] * speed).flatten(1)  # [N, axes · bands]; speed [axes, bands]
        return torch.cat((at, angle.sin(), angle.cos()), dim=-1)  # [N, P]

    def extra_repr(self) -> str:
        return f"{self.grid}, {self.bands} bands up to {self.resolution}"


class Trained(LookupTable, Places):
    """project(weight[place]): a trained vector a place; weight [context, width]."""

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.context, self.width = context, width
        self.weight = nn.Parameter(torch.empty(context, width))
        self.project = Linear(width, width)
        self.reset()

    def table(self, device: torch.device) -> Tensor:
        return self.project(self.weight)  # [N, P]


class Beside(Stem):
    """[lift(x); place]: vectors [B, T, C] -> [B, T, width].

    channels: C. lift: the width that a linear layer makes of them; None: they stay as they are. places: None where the
    vectors say themselves where they stand. Under autocast the input begins in the autocast precision.
    """

    def __init__(self, channels: int, *, lift: int | None = None, places: Places | None = None) -> None:
        super().__init__()
        self.channels, self.width = channels, (lift or channels) + (0 if places is None else places.width)
        self.weight, self.types, self.position = None, None, StemPosition()
        self.lift = nn.Identity() if lift is None else Linear(channels, lift)
        self.places, self.embedded = places, Tap()

    @property
    def context(self) -> int | None:
        return None if self.places is None else self.places.context

    def forward(self, tokens: Tensor, here: Layout, types: Tensor | None = None) -> Tensor:
        """Vectors [B, T, C] -> [B, T, width]. ValueError for ids, vectors of another length, and types."""
        check_vectors(tokens, self.channels, types)
        x = self.lift(tokens)  # [B, T, L]
        if self.places is not None:
            at = here.numbered(tokens.shape[1], tokens.device).places  # [B or 1, T]
            where = nn.functional.embedding(at, self.places.table(x.device).to(x.dtype))  # [B or 1, T, P]
            x = torch.cat((x, where.expand(len(x), -1, -1)), dim=-1)  # [B, T, L + P]
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return self.embedded(x)

    def extra_repr(self) -> str:
        return f"{self.channels} -> {self.width}"
