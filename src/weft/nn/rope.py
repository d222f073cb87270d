"""Rotary positions and their scalings, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from weft.nn.layout import Layout
from weft.nn.position import Placed, Position


@dataclass(frozen=True)
class Scaling:
    """How rotary frequencies change for rows longer than those trained on. The base class changes nothing."""

    def frequencies(self, theta: float, width: int, length: int, device: torch.device) -> Tensor:
        """Radians per place, fp32 [width / 2], for rows of at most `length`."""
        return frequencies(theta, width, device)

    def attention(self) -> float:
        """What cos and sin are multiplied by."""
        return 1.0

    def check(self, theta: float, width: int) -> None:
        """ValueError where this scaling cannot be computed for a theta and a rotated head width."""


def _positive(scaling: Scaling, **numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError(f"{type(scaling).__name__}: {name} = {number}, but it must be above 0")


def frequencies(theta: float, width: int, device: torch.device) -> Tensor:
    """θ^(-2i/width), fp32 [width / 2] (Su et al. 2021)."""
    return 1.0 / theta ** (torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)


@dataclass(frozen=True)
class Linear(Scaling):
    """Positions divided by `factor` (Chen et al. 2023)."""

    factor: float

    def __post_init__(self) -> None:
        _positive(self, factor=self.factor)

    def frequencies(self, theta: float, width: int, length: int, device: torch.device) -> Tensor:
        return frequencies(theta, width, device) / self.factor


@dataclass(frozen=True)
class Dynamic(Scaling):
    """NTK-aware (bloc97 2023): theta grows with the row beyond `original`. Fixed when a cache is made."""

    factor: float
    original: int

    def __post_init__(self) -> None:
        _positive(self, factor=self.factor, original=self.original)

    def check(self, theta: float, width: int) -> None:
        if width < 4:
            raise ValueError(
                f"Dynamic grows theta by a power of width / (width - 2), and the rotated head width is {width}: take "
                "one of at least 4, or another scaling"
            )

    def frequencies(self, theta: float, width: int, length: int, device: torch.device) -> Tensor:
        longer = max(length, self.original) / self.original
        grown = theta * (self.factor * longer - (self.factor - 1)) ** (width / (width - 2))
        return frequencies(grown, width, device)


@dataclass(frozen=True)
class Yarn(Scaling):
    """Interpolate the slow frequencies, keep the fast (Peng et al. 2023); cos and sin grow by 0.1 ln(factor) + 1.

    fast, slow: pairs that turn more often than `fast` within `original` places are kept, less often than `slow`
    interpolated, with a ramp between. truncate: round the two corner dimensions outwards, as the published code does.
    attention_factor: by how much cos and sin grow, in place of the formula; mscale, mscale_all_dim: where both are
    given, they grow by (0.1 mscale ln(factor) + 1) / (0.1 mscale_all_dim ln(factor) + 1) (DeepSeek-V2).
    """

    factor: float
    original: int
    fast: float = 32.0
    slow: float = 1.0
    truncate: bool = True
    attention_factor: float | None = None
    mscale: float = 0.0
    mscale_all_dim: float = 0.0

    def __post_init__(self) -> None:
        _positive(self, factor=self.factor, original=self.original, fast=self.fast, slow=self.slow)

    def check(self, theta: float, width: int) -> None:
        if width % 2:
            raise ValueError(f"Yarn ramps over pairs, and the rotated head width {width} is odd: take another part")
        if theta <= 1:
            raise ValueError(f"Yarn counts in logarithms of theta, which is {theta}: it must be above 1")

    def frequencies(self, theta: float, width: int, length: int, device: torch.device) -> Tensor:
        def corner(rotations: float) -> float:  # the pair that turns so often within the original length
            return width * math.log(self.original / (rotations * 2 * math.pi)) / (2 * math.log(theta))

        low, high = corner(self.fast), corner(self.slow)
        if self.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, width - 1)
        place = torch.arange(width // 2, device=device, dtype=torch.float32)
        keep = 1 - ((place - low) / (high - low or 0.001)).clamp(0, 1)
        plain = frequencies(theta, width, device)
        return plain / self.factor * (1 - keep) + plain * keep

    def attention(self) -> float:
        def grown(mscale: float) -> float:
            return 0.1 * mscale * math.log(self.factor) + 1.0 if self.factor > 1 else 1.0

        if self.attention_factor is not None:
            return self.attention_factor
        if self.mscale and self.mscale_all_dim:
            return grown(self.mscale) / grown(self.mscale_all_dim)
        return grown(1.0)


@dataclass(frozen=True)
class Llama3(Scaling):
    """Long wavelengths divided by `factor`, short ones kept, a smooth ramp between (Llama 3.1).

    low, high: a wavelength is long above original / low, short below original / high.
    """

    factor: float
    original: int
    low: float = 1.0
    high: float = 4.0

    def __post_init__(self) -> None:
        _positive(self, factor=self.factor, original=self.original, low=self.low)
        if self.high <= self.low:
            raise ValueError(f"Llama3: low = {self.low} and high = {self.high}, but low must be below high")

    def frequencies(self, theta: float, width: int, length: int, device: torch.device) -> Tensor:
        plain = frequencies(theta, width, device)
        wavelength = 2 * math.pi / plain
        smooth = ((self.original / wavelength - self.low) / (self.high - self.low)).clamp(0, 1)
        return (1 - smooth) * plain / self.factor + smooth * plain


@dataclass(frozen=True)
class LongRope(Scaling):
    """A divisor for each frequency: `short` ones in rows of up to `original` places, `long` ones, for every place, in
    longer rows (Ding et al. 2024, as published for Phi-3). Fixed when a cache is made.

    cos and sin grow by √(1 + ln(factor) / ln(original)), or by attention_factor where it is given.
    """

    original: int
    short: tuple[float, ...]
    long: tuple[float, ...]
    factor: float = 1.0
    attention_factor: float | None = None

    def __post_init__(self) -> None:
        _positive(self, short=min(self.short, default=1), long=min(self.long, default=1), factor=self.factor)
        if self.original < 2:
            raise ValueError(f"LongRope: original = {self.original}, but it must be at least 2")

    def check(self, theta: float, width: int) -> None:
        if {len(self.short), len(self.long)} != {width // 2}:
            raise ValueError(
                f"LongRope has {len(self.short)} short and {len(self.long)} long factors, and {width // 2} pairs turn: "
                "give one for each"
            )

    def frequencies(self, theta: float, width: int, length: int, device: torch.device) -> Tensor:
        divisors = self.long if length > self.original else self.short
        return frequencies(theta, width, device) / torch.tensor(divisors, device=device, dtype=torch.float32)

    def attention(self) -> float:
        if self.attention_factor is not None:
            return self.attention_factor
        return math.sqrt(1 + math.log(self.factor) / math.log(self.original)) if self.factor > 1 else 1.0


AnyScaling = Linear | Dynamic | Yarn | Llama3 | LongRope  # what a saved scheme may hold


class Rope(Position):
    """Rotations of queries and keys by place · θ^(-2i/R) (Su et al. 2021), pairing i with i + R/2.

    width: how many of a head's K numbers turn (R, even). over: what takes R's place in the exponent, where a part of a
    head comes to an odd number and is rounded up (NeoX). Angles are fp32, computed where they are used: there is no
    buffer to lose, and they stay exact beyond place 8192 in bf16 runs.
    """

    def __init__(
        self, width: int, *, theta: float = 10000.0, scaling: Scaling | None = None, over: int | None = None
    ) -> None:
        super().__init__()
        if width % 2 or width < 2:
            raise ValueError(
                f"rotary positions turn pairs: {width} must be even, what turns of head_width (width / heads)"
            )
        if not theta > 0:
            raise ValueError(f"theta = {theta}, but rotations are its powers: it must be above 0")
        self.width, self.theta, self.scaling, self.over = width, theta, scaling or Scaling(), over or width
        self.scaling.check(theta, self.over)

    def _angles(self, here: Layout, length: int) -> tuple[Tensor, Tensor]:
        """cos and sin of every place, fp32 [B, T, 1, R/2] each."""
        places = here.places
        speed = self.scaling.frequencies(self.theta, self.over, length, places.device)
        with torch.autocast(places.device.type, enabled=False):
            angle = (places.float()[..., None] * speed)[:, :, None]  # [B, T, 1, R/2]
            grow = self.scaling.attention()
            return angle.cos() * grow, angle.sin() * grow

    def at(self, q: Layout, k: Layout, new: Layout, length: int) -> Placed:
        turned = self._angles(q, length)
        return Placed(rotation_q=turned, rotation_k=turned if new is q else self._angles(new, length))

    def extra_repr(self) -> str:
        return f"{self.width}, theta={self.theta:g}, {self.scaling}"
