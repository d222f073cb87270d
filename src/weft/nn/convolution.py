"""Convolutions along a row: what lies side by side becomes one vector. They read padding as nothing, so that a row is
the same alone and beside longer ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.nn.activation import activation
from weft.nn.branch import Branch
from weft.nn.context import Context
from weft.nn.dropout import Dropout
from weft.nn.layout import Layout
from weft.nn.linear import Linear
from weft.nn.position import StemPosition
from weft.nn.stem import Stem
from weft.nn.tap import Tap


class Along(nn.Module, ABC):
    """A norm whose statistics are of several places: only of those that hold something."""

    @abstractmethod
    def forward(self, x: Tensor, present: Tensor | None) -> Tensor:
        """x [B, T, D] -> [B, T, D]; present: bool [B, T], None: everywhere."""


class Convolution(nn.Module):
    """act(norm(Σ W x + b)) over `kernel` neighbours. x [B, T, C] -> [B, T', D], T' = ⌊(T + 2·padding - kernel) /
    stride⌋ + 1; weight [D, C / groups, kernel]. Seam: `convolve`, the sum itself.

    axes: 2 has weights [D, C / groups, kernel, kernel], for a sum over a place's own numbers too. norm: of each place,
    or `Along` the row. act: None, none. A row has as many places as it would have alone; those behind it are padding,
    as they were.
    """

    def __init__(
        self, width_in: int, width_out: int, kernel: int, *, stride: int = 1, padding: int = 0, groups: int = 1,
        bias: bool = True, norm: nn.Module | None = None, act: str | None = None, axes: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        if min(kernel, stride) < 1 or not 0 <= 2 * padding < kernel:
            raise ValueError(
                f"a kernel of {kernel} places, a step of {stride} and {padding} places of padding at each end: the "
                "first two are at least 1, the last below half of the kernel"
            )
        if width_in % groups or width_out % groups:
            raise ValueError(f"{groups} groups do not divide the widths {width_in} and {width_out}: choose a divisor")
        self.kernel, self.stride, self.padding, self.groups = kernel, stride, padding, groups
        self.channels = width_in  # numbers of a place
        self.weight = nn.Parameter(torch.empty(width_out, width_in // groups, *[kernel] * axes))
        self.bias = nn.Parameter(torch.empty(width_out)) if bias else None
        self.norm, self.act = norm or nn.Identity(), activation(act) if act else None
        self.reset()

    def reset(self) -> None:
        """Fan-in uniform, as `Linear` has it."""
        bound = self.weight[0].numel() ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def places(self, length: int) -> int:
        """How many places it makes of so many; 0 where they are too few."""
        return max(0, (length + 2 * self.padding - self.kernel) // self.stride + 1)

    def needs(self, places: int) -> int:
        """The fewest places of which it makes so many, at least 1."""
        return max(1, (places - 1) * self.stride + self.kernel - 2 * self.padding)

    def lay(self, here: Layout, length: int) -> Layout:
        """Where what it makes of rows [B, T] sits."""
        if here.segments is None:
            return here
        last = self.kernel - 2 * self.padding - 1  # a place is there where the last one that it must read is
        return replace(here, segments=here.segments[:, last :: self.stride][:, : self.places(length)])  # [B, T']

    def forward(self, x: Tensor, here: Layout) -> Tensor:
        """x [B, T, C], which sits `here` -> [B, T', D]."""
        present = there(here, x.shape[0])
        if present is not None:
            x = x.masked_fill(~present[..., None], 0.0)
        y = self.convolve(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))
        if isinstance(self.norm, Along):
            y = self.norm(y, there(self.lay(here, x.shape[1]), x.shape[0]))  # [B, T', D]
        else:
            y = self.norm(y)
        return y if self.act is None else self.act(y)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The sum itself, x [B, T, C] -> [B, T', D]."""
        return functional.conv1d(x.mT, weight, bias, self.stride, self.padding, groups=self.groups).mT

    def extra_repr(self) -> str:
        bias = "" if self.bias is None else " + bias"
        return f"{self.channels} -> {self.weight.shape[0]}, {self.kernel} places, step {self.stride}{bias}"


class GatedConvolution(Branch):
    """down(act(norm(convolution(up(x) · σ(gate(x)))))): each number of a place beside its neighbours' (Gulati et al.
    2020, Conformer, §2.2). x [B, T, D] -> [B, T, D].

    kernel: how many places are mixed, itself in the middle, so that it looks ahead. norm: of each place, or `Along`.
    """

    def __init__(self, width: int, kernel: int, *, norm: nn.Module, act: str = "silu") -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel = {kernel} places have none in the middle: take an odd number")
        self.up, self.gate = Linear(width, width, bias=False), Linear(width, width, bias=False)
        self.convolution = Convolution(
            width, width, kernel, padding=kernel // 2, groups=width, bias=False, norm=norm, act=act
        )
        self.down = Linear(width, width, bias=False, residual=True)

    def forward(self, x: Tensor, ctx: Context, slot: None = None) -> tuple[Tensor, None]:
        y = self.up(x, times=self.gate(x).sigmoid())  # [B, T, D]
        return self.down(self.convolution(y, ctx.here)), None  # [B, T, D]


class Convolved(Stem):
    """drop(position.add(lift(convolutions(x)))): vectors [B, T, C] -> [B, T', D], of T' places as the convolutions
    make them, one after another (Radford et al. 2023, Whisper, §2.2: two, of which the second halves a row).

    lift: what makes them as wide as the model, where they are not. Rows are padded on the right; ValueError for others,
    and for several documents in a row. Under autocast the residual stream starts in the autocast precision.
    """

    def __init__(
        self, convolutions: Sequence[Convolution], width: int, *, lift: nn.Module | None = None,
        position: StemPosition | None = None, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        first = convolutions[0]
        self.channels, self.width = first.channels, width
        self.weight, self.types = None, None
        self.convolutions, self.lift = nn.ModuleList(convolutions), lift or nn.Identity()
        self.position, self.drop = position or StemPosition(), Dropout(dropout)
        self.embedded = Tap()

    @property
    def context(self) -> int | None:
        """The longest row it can place."""
        return None if self.position.context is None else self.needs(self.position.context + 1) - 1

    def needs(self, places: int) -> int:
        """The shortest row of which it makes so many places, at least 1."""
        for convolution in reversed(self._each()):
            places = convolution.needs(places)
        return places

    def extent(self, length: int) -> int:
        """How many places it makes of a row of `length`; 0 where that is too short."""
        for convolution in self._each():
            length = convolution.places(length)
        return length

    def lay(self, here: Layout, length: int) -> Layout:
        """Where what it makes of rows [B, T] sits."""
        for convolution in self._each():
            here, length = convolution.lay(here, length), convolution.places(length)
        return here

    def read(self, tokens: Tensor, here: Layout, types: Tensor | None = None) -> tuple[Tensor, Layout]:
        """See `Stem.read`."""
        return self(tokens, here, types=types), self.lay(here, tokens.shape[1])

    def forward(self, tokens: Tensor, here: Layout, types: Tensor | None = None) -> Tensor:
        """Vectors [B, T, C] -> [B, T', D]; here: where the rows themselves sit. ValueError for ids, for vectors of
        another length, and types, of which there are none."""
        if tokens.ndim != 3 or tokens.shape[-1] != self.channels:
            raise ValueError(
                f"this model reads vectors of {self.channels} numbers [rows, places, {self.channels}], not "
                f"{str(tokens.dtype).removeprefix('torch.')} {list(tokens.shape)}: make them with its processor"
            )
        if types is not None:
            raise ValueError("token types were given, but vectors have none: leave them out")
        if tokens.shape[1] < self.needs(1):
            raise ValueError(f"rows of {tokens.shape[1]} places are too short for this model: give {self.needs(1)}")
        check_rows(here)
        x = tokens.to(self._each()[0].weight.dtype)
        for convolution in self._each():
            x, here = convolution(x, here), convolution.lay(here, x.shape[1])
        x = self.lift(x)  # [B, T', D]
        x = self.position.add(x, here.numbered(x.shape[1], x.device))
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return self.embedded(self.drop(x))

    def _each(self) -> Sequence[Convolution]:
        return [part for part in self.convolutions if isinstance(part, Convolution)]


def there(here: Layout, rows: int) -> Tensor | None:
    """Where rows [B, T] hold something, bool [B, T]; None: everywhere."""
    return None if here.segments is None else (here.segments != 0).expand(rows, -1)


def check_rows(here: Layout) -> None:
    """ValueError where what lies side by side is not what belongs side by side: for several documents in a row, padding
    on the left, and an order that is given."""
    if here.order is not None or here.coords is not None or here.prefix:
        raise ValueError("a convolution reads what lies side by side: give rows in their own order, with no prefix")
    if here.segments is None or torch.compiler.is_compiling():
        return
    if bool(((here.segments != 0) & (here.segments != 1)).any()):
        raise ValueError("a convolution mixes neighbours, and these rows hold several documents: give each its own")
    if bool((here.segments[:, 1:] > here.segments[:, :-1]).any()):
        raise ValueError("a convolution steps from a row's first place on: pad rows on the right")
