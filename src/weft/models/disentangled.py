"""Disentangled attention (He et al. 2021): what a token is and where it stands are scored apart, in one softmax.

(q · k + q · K r(i - j) + k · Q r(i - j)) / √(K · (1 + terms)), r(i - j) from one table that all layers share. Products
are taken with the vectors of distance, never with those of each pair; among neighbours, whose distances fall by one
from column to column, a row of scores is then a part of a row of products, and nothing is gathered.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.nn import Attention, Block, Distances, Layout, Linear, Placed, Position, Relative, Sight
from weft.nn.activation import activation
from weft.nn.branch import Auxiliary, Slots
from weft.nn.context import Context
from weft.nn.dropout import Dropout, drop
from weft.nn.position import LookupTable

BLOCK = 64  # queries whose products are taken together: of T + 64 distances, where each of them asks for T


class DistanceTable(LookupTable, Position):
    """Trained vectors of signed distance, query - key, clipped. weight [2 · span, D]; norm: of its rows.

    max_distance: where distances end. buckets: half as many distances each way are exact, the rest logarithmic up to
    the end, and the span is their number; None: all are exact, and the span is max_distance. ValueError for one bucket.
    """

    relative = True

    def __init__(
        self, width: int, max_distance: int, *, buckets: int | None = None, norm: nn.Module | None = None
    ) -> None:
        super().__init__()
        if buckets == 1:
            raise ValueError("buckets = 1, but half of them are exact: take at least 2, or None for all distances")
        self.max_distance, self.buckets, self.span = max_distance, buckets, buckets or max_distance
        self.weight, self.norm = nn.Parameter(torch.empty(2 * self.span, width)), norm or nn.Identity()
        self.reset()

    def at(self, q: Layout, k: Layout, new: Layout, length: int) -> Placed:
        buckets = self.bucket_of(q.places[:, :, None] - k.places[:, None, :])  # [B, T, S]
        return Placed(distances=Distances(self.norm(self.weight), buckets))

    def along(self, length: int, device: torch.device) -> Placed:
        first, last = 0, 2 * self.span
        if self.buckets is None:  # the vectors that a row of this length can ask for
            first, last = max(0, self.span - length), min(last, self.span + length + 1)
        buckets = self.bucket_of(torch.arange(length, -length - 1, -1, device=device)) - first  # [2T + 1]
        return Placed(distances=Distances(self.norm(self.weight[first:last]), buckets))

    def bucket_of(self, distance: Tensor) -> Tensor:
        """Which vector belongs to each distance, int64 of the same shape."""
        if self.buckets is not None:
            half, size = self.buckets // 2, distance.abs()
            log_share = torch.log(size.clamp(min=1) / half) / torch.log(torch.tensor((self.max_distance - 1) / half))
            logarithmic = ((log_share * (half - 1)).ceil() + half) * distance.sign()
            distance = torch.where(size <= half, distance, logarithmic.long())
        return (distance + self.span).clamp(0, 2 * self.span - 1)


class Disentangled(Attention):
    """Attention with `terms` of distance: "c2p" (content to position), queries against its vectors, and "p2c", keys
    against them.

    The field must be a `DistanceTable`'s. shared: the layer's own k and q make keys and queries of the vectors; else
    position_k, with a bias where k has one, and position_q. position_dropout: of the vectors, in training.
    """

    def __init__(
        self, width: int, heads: int, *, terms: tuple[str, ...], shared: bool, position_dropout: float,
        scale: float, bias: str, dropout: float, relative: Relative | None = None,
    ) -> None:  # fmt: skip
        assert relative is None, "distances are its own"
        super().__init__(width, heads, bias=bias, scale=scale, dropout=dropout)
        self.terms, self.position_dropout = terms, position_dropout
        self.position_k = Linear(width, width, bias="k" in bias) if "c2p" in terms and not shared else None
        self.position_q = Linear(width, width) if "p2c" in terms and not shared else None

    def bias(self, q: Tensor, k: Tensor, sight: Sight) -> Tensor | None:
        distances, scale, total = sight.placed.distances, self.scale, None
        assert distances is not None and scale is not None, "the field of a disentangled attention is a DistanceTable's"
        buckets = distances.buckets
        vectors = drop(distances.vectors, self.position_dropout if self.training else 0.0)  # [N, D]
        if "c2p" in self.terms:
            total = _scores(q, (self.position_k or self.k)(vectors) * scale, buckets)  # [B, H, T, S]
        if "p2c" in self.terms:
            buckets = buckets.flip(0) if buckets.ndim == 1 else buckets.transpose(1, 2)  # seen from the keys
            p2c = _scores(k, (self.position_q or self.q)(vectors) * scale, buckets).transpose(2, 3)  # [B, H, T, S]
            total = p2c if total is None else total + p2c
        return total


def _scores(x: Tensor, vectors: Tensor, buckets: Tensor) -> Tensor:
    """x [B, T, H, K] against those of the vectors [N, H · K] that `Distances.buckets` names -> [B, H, T, S]."""
    b, t, h, _ = x.shape
    vectors = vectors.unflatten(-1, (h, -1)).permute(1, 2, 0)  # [H, K, N]
    if buckets.ndim > 1:
        return (x.transpose(1, 2) @ vectors).gather(-1, buckets[:, None].expand(b, h, -1, -1))  # [B, H, T, S]
    vectors, parts = vectors.index_select(2, buckets[1:]), []  # [H, K, 2T]
    for start in range(0, t, BLOCK):
        some = x[:, start : start + BLOCK]  # [B, n, H, K]
        n = some.shape[1]
        near = vectors[:, :, t - start - n : 2 * t - start]  # [H, K, T + n]
        found = torch.bmm(some.permute(2, 0, 1, 3).flatten(1, 2), near)  # [H, B · n, T + n]
        # a place further on, a vector further back: rows that are one number too short begin where they should
        strides = (n * (t + n), b * n * (t + n), t + n - 1, 1)
        parts.append(found.as_strided((b, h, n, t), strides, n - 1))
    return torch.cat(parts, dim=2)  # [B, H, T, T]


class Convolved(Block):
    """after(block(x) + act(drop(conv(x)))), a convolution over the places around each, among which other segments and
    padding count as zeros. x [B, T, D] -> [B, T, D]. ValueError for an even kernel."""

    def __init__(
        self, block: nn.Module, width: int, kernel: int, *, groups: int, act: str, drop: float, after: nn.Module
    ) -> None:
        assert isinstance(block, Block)
        super().__init__(**{name: getattr(block, name) for name in block.names})
        if kernel % 2 == 0:
            raise ValueError(f"kernel = {kernel}, but as many places lie on either side of its middle: it must be odd")
        self.conv = nn.Conv1d(width, width, kernel, stride=kernel, groups=groups)
        self.act, self.drop, self.after = activation(act), Dropout(drop), after

    def reset(self) -> None:
        self.conv.reset_parameters()

    def forward(self, x: Tensor, ctx: Context, slots: dict[str, Slots] | None = None) -> tuple[Tensor, Auxiliary]:
        y, auxiliary = super().forward(x, ctx, slots)
        (kernel,), segments = self.conv.kernel_size, ctx.here.segments
        sides = (kernel // 2, kernel // 2)
        near = functional.pad(x, (0, 0, *sides)).unfold(1, kernel, 1)  # [B, T, D, kernel]
        if segments is not None:
            beside = functional.pad(segments, sides).unfold(1, kernel, 1)  # [B, T, kernel]
            near = near.masked_fill((beside != segments[..., None])[:, :, None], 0.0)
        found = self.conv(near.transpose(1, 2).flatten(2)).transpose(1, 2)  # of [B, D, T · kernel], [B, T, D]
        return self.after(y + self.act(self.drop(found))), auxiliary
