"""Position schemes: what is added in the stem, and what places queries, keys and scores in a field."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from weft.nn.layout import Layout


@dataclass(frozen=True)
class Distances:
    """Vectors of distance [N, D], which each layer projects for itself (He et al. 2021).

    buckets: which of them stands between query t and key s, int64 [B or 1, T, S]; where both are the columns 0..T-1 of
    a row, which one belongs to T, T-1 .. -T places from key to query, int64 [2T + 1].
    """

    vectors: Tensor
    buckets: Tensor


@dataclass(frozen=True)
class Placed:
    """A field's positions, resolved once per pass; the identity by default.

    rotation_q, rotation_k: (cos, sin), each [B or 1, T, 1, R/2], of the queries' and the *new* keys' places.
    bias: content-free scores [B or 1, H, T, S], added after scaling. distances: what attentions may read.
    """

    rotation_q: tuple[Tensor, Tensor] | None = None
    rotation_k: tuple[Tensor, Tensor] | None = None
    bias: Tensor | None = None
    distances: Distances | None = None

    def rotate_q(self, x: Tensor) -> Tensor:
        """Queries [B, T, H, K], the first R of each K turned."""
        return x if self.rotation_q is None else rotate(x, *self.rotation_q)

    def rotate_k(self, x: Tensor) -> Tensor:
        """New keys [B, S, G, K], likewise."""
        return x if self.rotation_k is None else rotate(x, *self.rotation_k)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the first R of each head's K numbers, pairing i with i + R/2. x [B, T, H, K] -> [B, T, H, K]."""
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    if torch.compiler.is_compiling():  # a compiler fuses the plain form
        half = cos.shape[-1]
        a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
        return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), dim=-1)
    result: Tensor = _Rotate.apply(x, cos, sin)  # type: ignore[assignment]
    return result


class _Rotate(torch.autograd.Function):
    """A rotation's gradient is the rotation back; autograd's own would add padded halves."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        cos, sin = ctx.saved_tensors
        return _turn(grad_outputs[0], cos, -sin), None, None


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`rotate` without a graph, written into place."""
    half = cos.shape[-1]
    a, b = x[..., :half], x[..., half : 2 * half]
    out = torch.empty_like(x)
    torch.mul(a, cos, out=out[..., :half]).addcmul_(b, sin, value=-1)
    torch.mul(b, cos, out=out[..., half : 2 * half]).addcmul_(a, sin)
    out[..., 2 * half :] = x[..., 2 * half :]
    return out


class LookupTable:
    """Of a module, beside its base: `weight` is a table whose rows are looked up; it begins as N(0, 0.02²)."""

    table = True  # the optimiser treats it as an embedding
    weight: nn.Parameter

    def reset(self) -> None:
        nn.init.normal_(self.weight, std=0.02)


class Position(nn.Module):
    """A scheme's part in a field. The base class does nothing.

    relative: it reads distances within a segment alone, so that columns do for places, the same ones in every row.
    """

    relative = False

    def at(self, q: Layout, k: Layout, new: Layout, length: int) -> Placed:
        """Place queries q and keys k; `new` are the keys written in this pass; `length` is the row's length that
        any scaling is fixed for (the cache's, where there is one)."""
        return Placed()

    def along(self, length: int, device: torch.device) -> Placed:
        """`at` for queries and keys that are the columns 0..T-1 of a row, which is a static fact here."""
        columns = Layout().numbered(length, device)
        return self.at(columns, columns, columns, length)


class StemPosition(nn.Module):
    """A scheme's part in the stem. The base class adds nothing. context: the longest row it can place, or None."""

    context: int | None = None

    def place(self, tokens: Tensor, here: Layout) -> Layout:
        """Where `add` is to take tokens [B, T] to be, of a scheme that goes by their ids; `here` is numbered."""
        return here

    def add(self, x: Tensor, here: Layout) -> Tensor:
        """x [B, T, D] -> [B, T, D]; `here` is numbered."""
        return x


class Sinusoid(StemPosition):
    """sin and cos of geometric wavelengths, interleaved (Vaswani et al. 2017, §3.5): exact at any length."""

    paired = True  # sin and cos are neighbours, so that widths are even

    def __init__(self, width: int, *, theta: float = 10000.0) -> None:
        super().__init__()
        if width % 2 and self.paired:
            raise ValueError(f"sinusoids come in pairs: width {width} is odd; choose an even width or another scheme")
        if not theta > 0:
            raise ValueError(f"theta = {theta}, but wavelengths are its powers: it must be above 0")
        self.width, self.theta = width, theta

    def add(self, x: Tensor, here: Layout) -> Tensor:
        angle = angles(here.places, self.width, self.theta)  # [B, T, D/2]
        return x + self.lay(angle.sin(), angle.cos()).to(x.dtype)

    def lay(self, sin: Tensor, cos: Tensor) -> Tensor:
        """Two halves [B, T, D/2] as one vector [B, T, D]."""
        return torch.stack((sin, cos), dim=-1).flatten(-2)


class SinusoidHalves(Sinusoid):
    """The same numbers in another order: all sines, then all cosines (Marian, Pegasus, Whisper's encoder); of an odd
    width one cosine fewer."""

    paired = False

    def lay(self, sin: Tensor, cos: Tensor) -> Tensor:
        return torch.cat((sin, cos[..., : self.width // 2]), dim=-1)


def angles(places: Tensor, width: int, theta: float = 10000.0) -> Tensor:
    """place · θ^(-2i/width), fp32; places [..] -> [.., width / 2]."""
    pair = torch.arange(0, width, 2, device=places.device, dtype=torch.float32)
    return places.float()[..., None] * torch.exp(pair * (-math.log(theta) / width))


class Learned(LookupTable, StemPosition):
    """A trained vector per place (GPT, BERT). weight [offset + context, D]; a longer row is refused.

    offset: rows before the first place's, which nobody reads (RoBERTa's and BART's tables begin with padding's).
    """

    def __init__(self, context: int, width: int, *, offset: int = 0) -> None:
        super().__init__()
        self.context, self.offset = context, offset
        self.weight = nn.Parameter(torch.empty(offset + context, width))
        self.reset()

    def add(self, x: Tensor, here: Layout) -> Tensor:
        places = here.places + self.offset if self.offset else here.places
        return x + nn.functional.embedding(places, self.weight).to(x.dtype)


class Alibi(Position):
    """-slope · distance added to the scores (Press et al. 2022); slopes as in the paper, interleaved where the number
    of heads is no power of two. Bidirectional fields use the absolute distance."""

    relative = True

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    @staticmethod
    def slopes(heads: int) -> list[float]:
        """Of each head, what a place of distance costs."""

        def powers(count: int) -> list[float]:
            return [2.0 ** (-8.0 * (i + 1) / count) for i in range(count)]

        whole = 2 ** int(math.log2(heads))
        return powers(whole) + powers(2 * whole)[0::2][: heads - whole]

    def at(self, q: Layout, k: Layout, new: Layout, length: int) -> Placed:
        slopes = torch.tensor(self.slopes(self.heads), device=q.places.device)
        apart = (q.places[:, :, None] - k.places[:, None, :]).abs()  # [B, T, S]
        return Placed(bias=-slopes[:, None, None] * apart[:, None])  # [B, H, T, S]


class T5Bias(LookupTable, Position):
    """A trained score per head and bucket of signed distance (Raffel et al. 2020, §2.1): half of the buckets exact,
    the rest logarithmic up to `distance`. weight [buckets, H]."""

    relative = True

    def __init__(self, heads: int, *, buckets: int = 32, distance: int = 128, bidirectional: bool = False) -> None:
        super().__init__()
        if buckets < 4 or distance <= buckets // 2:
            raise ValueError(
                f"{buckets} buckets up to distance {distance}: take at least 4, and a distance beyond them"
            )
        self.buckets, self.distance, self.bidirectional = buckets, distance, bidirectional
        self.weight = nn.Parameter(torch.empty(buckets, heads))
        self.reset()

    def bucket(self, ahead: Tensor) -> Tensor:
        """Bucket of each distance `ahead` = key - query, int64 of the same shape."""
        buckets, base = self.buckets, torch.zeros_like(ahead)
        if self.bidirectional:
            buckets //= 2
            base = (ahead > 0) * buckets
            apart = ahead.abs()
        else:
            apart = (-ahead).clamp(min=0)
        exact = buckets // 2
        far = torch.log(apart.clamp(min=1).float() / exact) / math.log(self.distance / exact) * (buckets - exact)
        far = (exact + far.long()).clamp(max=buckets - 1)
        return base + torch.where(apart < exact, apart, far)

    def at(self, q: Layout, k: Layout, new: Layout, length: int) -> Placed:
        return Placed(bias=self.scores(q, k))

    def scores(self, q: Layout, k: Layout) -> Tensor:
        """Of every pair, [B or 1, H, T, S]."""
        ahead = k.places[:, None, :] - q.places[:, :, None]  # [B, T, S]
        bias = nn.functional.embedding(self.bucket(ahead), self.weight)  # [B, T, S, H]
        return bias.permute(0, 3, 1, 2).contiguous()  # [B, H, T, S], as every layer's scores lie
