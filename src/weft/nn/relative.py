"""Relative positions with parameters of each layer's own: what they add to scores and to values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from weft.nn.layout import Layout
from weft.nn.linear import Linear
from weft.nn.position import LookupTable, T5Bias, angles


class Relative(nn.Module, ABC):
    """A scheme's part in a layer's attention, one of these per layer."""

    @abstractmethod
    def bias(self, query: Tensor, keys: Tensor, q: Layout, k: Layout) -> Tensor:
        """What is added to the scores after scaling: query [B, T, H, K] (scaled), keys [B, S, G, K] ->
        [B or 1, H, T, S]."""

    def mixer(self, q: Layout, k: Layout) -> Callable[[Tensor], Tensor] | None:
        """What is added on the value side, probs [B, H, T, S] -> [B, T, H, K]; None: nothing."""
        return None


class RelativeKey(Relative):
    """Trained vectors of clipped distance, held against the queries (Shaw et al. 2018, without what is added to values)
    and, where `both`, against the keys too (Huang et al. 2020, method 4).

    distance: where it is clipped. keys [2·distance + 1, K], from the furthest ahead to the furthest behind. All goes
    through the 2·distance + 1 buckets, never through a [T, S, K] gather.
    """

    table = True

    def __init__(self, head_width: int, *, distance: int = 16, both: bool = True) -> None:
        super().__init__()
        if distance < 1:
            raise ValueError(f"distance = {distance}, but relative positions are told apart up to one of at least 1")
        self.distance, self.both = distance, both
        self.keys = nn.Parameter(torch.empty(2 * distance + 1, head_width))
        nn.init.normal_(self.keys, std=0.02)

    def reset(self) -> None:
        nn.init.normal_(self.keys, std=0.02)

    def _bucket(self, q: Layout, k: Layout) -> Tensor:
        """Which vector belongs to each pair, [B, T, S]."""
        behind = q.places[:, :, None] - k.places[:, None, :]  # [B, T, S]
        return behind.clamp(-self.distance, self.distance) + self.distance

    def bias(self, query: Tensor, keys: Tensor, q: Layout, k: Layout) -> Tensor:
        """Each query, and each key, against the vector of each distance."""
        table, index = self.keys.to(query.dtype), self._bucket(q, k)[:, None]  # [2·distance + 1, K], [B, 1, T, S]
        query_scores = torch.einsum("bthk,nk->bhtn", query, table)  # [B, H, T, 2·distance + 1]
        scores = query_scores.gather(-1, index.expand(*query_scores.shape[:3], -1))  # [B, H, T, S]
        if not self.both:
            return scores
        key_scores = torch.einsum("bsgk,nk->bgsn", keys, table * table.shape[1] ** -0.5)  # [B, G, S, 2·distance + 1]
        from_keys = key_scores.gather(-1, index.mT.expand(*key_scores.shape[:3], -1)).mT  # [B, G, T, S]
        return scores + from_keys.repeat_interleave(query.shape[2] // keys.shape[2], dim=1)  # [B, H, T, S]


class Shaw(RelativeKey):
    """Trained vectors of clipped distance on the key and the value side (Shaw et al. 2018), one of these per layer.

    distance: where it is clipped. keys, values [2·distance + 1, K], from the furthest behind to the furthest ahead.
    """

    def __init__(self, head_width: int, *, distance: int = 16) -> None:
        super().__init__(head_width, distance=distance, both=False)
        self.values = nn.Parameter(torch.empty_like(self.keys))
        self.reset()

    def reset(self) -> None:
        super().reset()
        nn.init.normal_(self.values, std=0.02)

    def _bucket(self, q: Layout, k: Layout) -> Tensor:
        return 2 * self.distance - super()._bucket(q, k)

    def mixer(self, q: Layout, k: Layout) -> Callable[[Tensor], Tensor]:
        return partial(self.mix, q=q, k=k)

    def mix(self, probs: Tensor, q: Layout, k: Layout) -> Tensor:
        """What the value side adds. probs [B, H, T, S] -> [B, T, H, K]."""
        index = self._bucket(q, k)[:, None].expand_as(probs)  # [B, H, T, S]
        empty = probs.new_zeros(*probs.shape[:3], 2 * self.distance + 1)
        mass = empty.scatter_add(-1, index, probs)  # [B, H, T, 2·distance + 1]
        return torch.einsum("bhtn,nk->bthk", mass, self.values.to(probs.dtype))


class Music(LookupTable, Relative):
    """Trained vectors of distance for each head, on the key side alone (Huang et al. 2018, Music Transformer).

    distance: how many places back are told apart; from there on all are one. bidirectional: as many ahead. weight
    [H, distances, K]. The paper's skewing is a gather here, which also serves places that are not neighbours.
    """

    def __init__(self, heads: int, head_width: int, *, distance: int = 128, bidirectional: bool = False) -> None:
        super().__init__()
        if distance < 1:
            raise ValueError(f"distance = {distance}, but relative positions are told apart up to one of at least 1")
        self.distance, self.ahead = distance, distance if bidirectional else 0
        self.weight = nn.Parameter(torch.empty(heads, distance + self.ahead + 1, head_width))
        self.reset()

    def bias(self, query: Tensor, keys: Tensor, q: Layout, k: Layout) -> Tensor:
        scores = torch.einsum("bthk,hnk->bhtn", query, self.weight.to(query.dtype))  # [B, H, T, distances]
        ahead = k.places[:, None, :] - q.places[:, :, None]  # [B, T, S]
        index = (ahead.clamp(-self.distance, self.ahead) + self.distance)[:, None]  # [B, 1, T, S]
        return scores.gather(-1, index.expand(*scores.shape[:3], -1))  # [B, H, T, S]


class RelativeXL(Relative):
    """(q + v) · W r(distance) + u · k, r a sinusoid of distance (Dai et al. 2019, §3.3): exact at any length.

    u, v: `content` and `place` [H, K]; W: `project` [H · K, D], of D = H · K sines and cosines of a distance; D must
    be even. W r(a - b) is taken apart by the addition theorems into a part of the query's place a and one of the key's
    place b, so that nothing of [T, S, K] is ever held and no distance is looked up.
    """

    def __init__(self, heads: int, head_width: int) -> None:
        super().__init__()
        if heads * head_width % 2:
            raise ValueError(f"sinusoids come in pairs: {heads} heads of {head_width} make an odd width")
        self.heads, self.head_width = heads, head_width
        self.content, self.place = (nn.Parameter(torch.empty(heads, head_width)) for _ in range(2))
        self.project = Linear(heads * head_width, heads * head_width, bias=False)
        self.reset()

    def reset(self) -> None:
        nn.init.zeros_(self.content)
        nn.init.zeros_(self.place)

    def bias(self, query: Tensor, keys: Tensor, q: Layout, k: Layout) -> Tensor:
        (b, s, g, _), h = keys.shape, self.heads
        scale = self.head_width**-0.5
        content_bias = (self.content * scale).to(keys.dtype).view(g, h // g, -1)  # [G, H/G, K]
        key_scores = torch.einsum("bsgk,gnk->bgns", keys, content_bias).reshape(b, h, 1, s)  # [B, H, 1, S]: u · k
        position_bias = (self.place * scale).to(query.dtype)  # [H, K]
        project = self.project.weight.view(h, self.head_width, -1).to(query.dtype)  # [H, K, D]
        projected_query = torch.einsum("bthk,hkd->bhtd", query + position_bias, project)  # [B, H, T, D]: (q + v) W
        sin_part, cos_part = projected_query.float().chunk(2, dim=-1)  # [B, H, T, D/2] each
        query_angles, key_angles = (angles(x.places, h * self.head_width)[:, None] for x in (q, k))  # [B, 1, .., D/2]
        sin, cos = query_angles.sin(), query_angles.cos()
        by_cos, by_sin = sin_part * sin + cos_part * cos, cos_part * sin - sin_part * cos  # of the keys' angles
        turned_query = torch.cat((by_cos, by_sin), dim=-1)  # [B, H, T, D]
        key_table = torch.cat((key_angles.cos(), key_angles.sin()), dim=-1)  # [B, 1, S, D]
        return (turned_query @ key_table.mT).to(query.dtype) + key_scores  # [B, H, T, S]


class PerLayer(Relative):
    """A table of scores by distance for this layer alone (UMT5), where T5 has one for all."""

    def __init__(self, table: T5Bias) -> None:
        super().__init__()
        self.table_of = table

    def bias(self, query: Tensor, keys: Tensor, q: Layout, k: Layout) -> Tensor:
        return self.table_of.scores(q, k)
