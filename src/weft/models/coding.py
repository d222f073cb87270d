"""Pictures as rows of codes and back: convolutions, a codebook, convolutions (van den Oord et al. 2017, VQ-VAE; Esser
et al. 2021, VQGAN, §3.1).

A row is a picture's patches, [B, P, C], as a ViT's is; each patch is one code. What goes in, and what comes out, are
the same patches, so that one processor makes rows of pictures and pictures of rows.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.nn import Attention, Block, Context, Field, Full, LayerNorm, Layout, Linear, Position, Residual, Stack

GROUPS = 8  # of channels, at the most, whose statistics are one


def folded(rows: Tensor, channels: int) -> Tensor:
    """Patches [B, P, channels · patch²], each by channel, row, column -> pictures [B, channels, height, width], as high
    as wide."""
    side, patch = math.isqrt(rows.shape[1]), math.isqrt(rows.shape[2] // channels)
    cut = rows.view(len(rows), side, side, channels, patch, patch).permute(0, 3, 1, 4, 2, 5)
    return cut.reshape(len(rows), channels, side * patch, side * patch)


def cut(pictures: Tensor, patch: int) -> Tensor:
    """The way back: [B, channels, height, width] -> patches [B, P, channels · patch²]."""
    rows, channels, height, width = pictures.shape
    parts = pictures.reshape(rows, channels, height // patch, patch, width // patch, patch)
    return parts.permute(0, 2, 4, 1, 3, 5).reshape(rows, -1, channels * patch**2)


def convolution(width_in: int, width_out: int, *, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Of a picture's neighbours; the edge is 0. kernel: odd, or twice the step."""
    return nn.Conv2d(width_in, width_out, kernel, stride=stride, padding=(kernel - 1) // 2)


def norm(width: int) -> nn.GroupNorm:
    """GroupNorm (Wu & He 2018), of one picture alone."""
    return nn.GroupNorm(math.gcd(GROUPS, width), width, eps=1e-6)


class Mixed(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))): [B, D, height, width] as it was."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([norm(width), norm(width)])
        self.convolutions = nn.ModuleList([convolution(width, width), convolution(width, width)])

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for before, one in zip(self.norms, self.convolutions, strict=True):
            y = one(functional.silu(before(y)))
        return x + y


class Wide(nn.Module):
    """Every place of a picture looks at every other: pre-LN attention alone. [B, D, height, width] as it was."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        block = Block(attn=Residual(Attention(width, heads), pre=LayerNorm(width)))
        self.stack = Stack([block], fields={"self": Field(Position(), Full())})

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.stack(x.flatten(2).mT, Context(Layout()))  # [B, P, D]
        return y.mT.reshape(x.shape)


class Up(nn.Module):
    """conv(each place four times): [B, D, height, width] -> [B, E, 2 · height, 2 · width]."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.convolution = convolution(width_in, width_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class Codebook(nn.Module):
    """`codes` vectors, of which a vector becomes the nearest. weight [codes, K].

    unit: all lie on the unit sphere, where the nearest is that of the largest cosine (Yu et al. 2022, §3.2).
    """

    table = True

    def __init__(self, codes: int, width: int, *, unit: bool) -> None:
        super().__init__()
        self.weight, self.unit = nn.Parameter(torch.empty(codes, width)), unit
        self.reset()

    def reset(self) -> None:
        nn.init.normal_(self.weight)

    def placed(self, vectors: Tensor) -> Tensor:
        """Vectors [.., K] as they are held against one another, fp32."""
        return functional.normalize(vectors.float(), dim=-1) if self.unit else vectors.float()

    @property
    def vectors(self) -> Tensor:
        """The codes', as they are held against others, [codes, K]."""
        return self.placed(self.weight)

    @torch.no_grad()
    def nearest(self, vectors: Tensor) -> Tensor:
        """Which code is the nearest to each: [.., K] -> int64 [..]."""
        own, given = self.vectors, self.placed(vectors)
        apart = own.square().sum(dim=-1) - 2 * given @ own.mT  # [.., codes]: squared, less what is the same for all
        return apart.argmin(dim=-1)

    def look(self, ids: Tensor) -> Tensor:
        """int64 [..] -> the codes' vectors [.., K]."""
        return functional.embedding(ids, self.vectors)


class Coder(nn.Module):
    """Patches to codes and back: `encode`, `decode`. lift: pictures [B, channels, ..] to [B, K, side, side]; paint:
    the way back. patch: pixels of the side of what one code stands for."""

    def __init__(self, lift: nn.Module, codebook: Codebook, paint: nn.Module, *, channels: int, patch: int) -> None:
        super().__init__()
        self.lift, self.codebook, self.paint = lift, codebook, paint
        self.channels, self.patch = channels, patch

    @property
    def codes(self) -> int:
        """How many there are."""
        return len(self.codebook.weight)

    def states(self, rows: Tensor) -> Tensor:
        """Patches [B, P, C] -> what is held against the codes, fp32 [B, P, K]."""
        return self.codebook.placed(self.lift(folded(rows, self.channels)).flatten(2).mT)

    def paint_of(self, vectors: Tensor) -> Tensor:
        """Codes' vectors [B, P, K] -> pictures [B, channels, height, width]."""
        side = math.isqrt(vectors.shape[1])
        return self.paint(vectors.mT.unflatten(2, (side, side)))

    def encode(self, rows: Tensor) -> Tensor:
        """Patches [B, P, C] -> codes int64 [B, P]."""
        return self.codebook.nearest(self.states(rows))

    def decode(self, ids: Tensor) -> Tensor:
        """Codes int64 [B, P] -> patches [B, P, C]."""
        return cut(self.paint_of(self.codebook.look(ids)), self.patch)

    def forward(self, rows: Tensor) -> Tensor:
        """Patches [B, P, C] -> the same, as far as their codes tell them."""
        return self.decode(self.encode(rows))


def lift(channels: int, widths: tuple[int, ...], heads: int, out: int) -> nn.Sequential:
    """Convolutions to a picture of a `2 ** (len(widths) - 1)`th of the side: at each halving as many numbers a place as
    `widths` says."""
    parts: list[nn.Module] = [convolution(channels, widths[0])]
    for before, after in pairwise(widths):
        parts += [convolution(before, after, kernel=4, stride=2), Mixed(after)]
    last = widths[-1]
    return nn.Sequential(
        *parts, Wide(last, heads), Mixed(last), norm(last), nn.SiLU(), convolution(last, out, kernel=1)
    )


def paint(channels: int, widths: tuple[int, ...], heads: int, given: int) -> nn.Sequential:
    """The way back of `lift`."""
    last = widths[-1]
    parts: list[nn.Module] = [convolution(given, last, kernel=1), Mixed(last), Wide(last, heads), Mixed(last)]
    for before, after in pairwise(reversed(widths)):
        parts += [Up(before, after), Mixed(after)]
    return nn.Sequential(*parts, norm(widths[0]), nn.SiLU(), convolution(widths[0], channels))


def start(module: nn.Module) -> None:
    """Every part's own default: convolutions fan-in uniform, codes N(0, 1), projections N(0, 1 / inputs)."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.GroupNorm):
            part.reset_parameters()
        elif isinstance(part, Linear):
            nn.init.normal_(part.weight, std=part.width_in**-0.5)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, Codebook):
            part.reset()
