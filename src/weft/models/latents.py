"""What Perceivers are made of (Jaegle et al. 2021; Perceiver IO, Jaegle et al. 2022, §3): trained latents look at an
input of any length, think, and are asked by output queries.

However long the input, all but two layers see as many places as there are latents. Perceiver IO looks once; the first
Perceiver looks again before each of its blocks (`crossings`), here always through the same weights, where its authors
gave the first look weights of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from weft.nn import (
    MLP,
    Attention,
    Block,
    CrossAttention,
    Embed,
    Encoder,
    Field,
    Full,
    Head,
    LayerNorm,
    Layout,
    Linear,
    Memory,
    Position,
    Residual,
    Scheme,
    Stack,
)
from weft.nn.branch import Auxiliary, join
from weft.nn.context import Context
from weft.nn.initialise import normal
from weft.nn.model import check_length
from weft.nn.position import LookupTable
from weft.nn.stem import Stem


@dataclass(frozen=True)
class Latent:
    """The settings that all Perceivers have. Widths of queries, keys and values are of all heads together."""

    latents: int = 256
    latent_width: int = 1280
    crossings: int = 1  # looks at the input, each followed by all blocks
    blocks: int = 1  # passes through the same `depth` layers
    depth: int = 26
    heads: int = 8
    cross_heads: int = 8
    qk_width: int | None = None  # None: of a look at the input that of `qk_like`, else the latents'
    v_width: int | None = None  # None: qk_width
    qk_like: Literal["inputs", "latents"] = "inputs"
    widening: int = 1  # of feed-forwards: hidden numbers for each of their width
    cross_widening: int = 1
    act: str = "gelu"
    skip: bool = True  # what a look finds is added to the latents, else it takes their place
    dropout: float = 0.0
    attention_dropout: float = 0.1  # of the attention weights. Above 0 it takes slower kernels


class Latents(LookupTable, nn.Module):
    """Trained vectors, alike for every row; weight [N, D]."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, width))
        self.reset()

    def forward(self, rows: int) -> Tensor:
        """[rows, N, D], in the precision in which residual streams begin."""
        x, kind = self.weight, self.weight.device.type
        if torch.is_autocast_enabled(kind):
            x = x.to(torch.get_autocast_dtype(kind))
        return x.expand(rows, -1, -1)  # [B, N, D]


class Queries(nn.Module, ABC):
    """What the latents are asked."""

    @abstractmethod
    def forward(self, here: Layout, rows: int) -> Tensor:
        """Of rows whose places are `here`, numbered: [rows, Q, D]."""


class EveryRow(Queries):
    """The same queries of every row."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.table = Latents(count, width)

    def forward(self, here: Layout, rows: int) -> Tensor:
        return self.table(rows)


class EveryPlace(Queries):
    """A query of every place of a row, by its position alone: what stands there is the latents' to know."""

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.table = Latents(context, width)

    def forward(self, here: Layout, rows: int) -> Tensor:
        return nn.functional.embedding(here.places, self.table(1)[0]).expand(rows, -1, -1)  # [B, T, D]


class Perceiver(Encoder):
    """States [B, Q, D] that `ask` finds in latents that have looked at the input, one for each query; without queries
    the latents themselves.

    A row is read whole: documents that are packed into one are one to the latents.
    """

    def __init__(
        self, embed: Stem, latents: Latents, look: Stack, think: Stack, heads: Mapping[str, Head], *,
        crossings: int = 1, queries: Queries | None = None, ask: Stack | None = None, pooler: nn.Module | None = None,
    ) -> None:  # fmt: skip
        super().__init__(embed, think, heads, pooler=pooler)
        self.latents, self.look, self.crossings = latents, look, crossings
        self.queries, self.ask = queries, ask

    def forward(
        self, tokens: Tensor, here: Layout | None = None, types: Tensor | None = None
    ) -> tuple[Tensor, Auxiliary]:
        """tokens int64 [B, T], or vectors [B, T, C] -> states and auxiliary terms."""
        (rows, length), auxiliary = tokens.shape[:2], None
        check_length(self.context, length)
        inputs, here = self.embed.read(tokens, here or Layout(), types)  # [B, T, E]
        segments = here.segments
        seen = Layout() if segments is None else Layout(segments=(segments != 0).long())
        x, ctx = self.latents(rows), Context(Layout(), Memory(inputs, seen))  # [B, N, D]
        for _ in range(self.crossings):
            for stack in (self.look, self.stack):
                x, more = stack(x, ctx)
                auxiliary = join(auxiliary, more)
        if self.ask is None or self.queries is None:
            return x, auxiliary
        asked = self.queries(here.numbered(length, tokens.device), rows)  # [B, Q, D]
        states, more = self.ask(asked, Context(Layout(), Memory(x, Layout())))
        return states, join(auxiliary, more)


# fmt: off
def looking(
    width: int, memory_width: int, heads: int, qk: int, v: int, *, widening: int, act: str, skip: bool, rate: float,
    drop: float,
) -> Stack:
    """A look of a stream of this width at a memory, and a feed-forward."""
    sizes = (_share(qk, heads, "queries and keys"), _share(v, heads, "values"), memory_width)
    norm = LayerNorm(memory_width)
    cross = CrossAttention(width, heads, None, *sizes, field="memory", memory_norm=norm, dropout=rate)
    block = Block(cross=Residual(cross, pre=LayerNorm(width), skip=float(skip), drop=drop),
                  mlp=Residual(MLP(width, widening * width, act=act), pre=LayerNorm(width), drop=drop))
    return Stack([block], fields={"memory": Field(Position(), Full(), keys="memory")})


def thinking(c: Latent, attention: type[Attention]) -> Stack:
    """The latents' own layers. ValueError where values are not as wide as the latents that they are added to."""
    qk = c.qk_width or c.latent_width
    v = c.v_width or qk
    if v != c.latent_width:
        name, value = ("qk_width", c.qk_width) if c.v_width is None else ("v_width", v)
        raise ValueError(
            f"{name} = {value} makes values of {v} numbers, which are added to latents of {c.latent_width}: set "
            f"v_width = {c.latent_width}"
        )
    norm, sizes = partial(LayerNorm, c.latent_width), (_share(qk, c.heads, "queries and keys"), _share(v, c.heads))
    attn = partial(attention, c.latent_width, c.heads, None, *sizes, dropout=c.attention_dropout)
    mlp = partial(MLP, c.latent_width, c.widening * c.latent_width, act=c.act)
    layers = [Block(attn=Residual(attn(), pre=norm(), drop=c.dropout), mlp=Residual(mlp(), pre=norm(), drop=c.dropout))
              for _ in range(c.depth)]
    return Stack(layers, fields={"self": Field(Position(), Full())}, order=[*range(c.depth)] * c.blocks)


def _share(width: int, heads: int, what: str = "values") -> int:
    """One head's part."""
    if width % heads:
        raise ValueError(f"{heads} heads do not divide the width {width} of {what}: change one of them")
    return width // heads


def perceiver(
    c: Latent, embed: Stem, inputs: int, position: Scheme | None, attention: type[Attention], heads: Mapping[str, Head],
    queries: Queries | None = None, ask: Stack | None = None, pooler: nn.Module | None = None,
) -> Perceiver:
    """inputs: how wide they are. ValueError for a position scheme: there is no field whose places it could tell."""
    if position not in (None, Scheme()):
        raise ValueError(f"position = {position}, but latents have no places, and inputs their own: leave it out")
    qk = c.qk_width or (inputs if c.qk_like == "inputs" else c.latent_width)
    look = looking(c.latent_width, inputs, c.cross_heads, qk, c.v_width or qk, widening=c.cross_widening, act=c.act,
                   skip=c.skip, rate=c.attention_dropout, drop=c.dropout)
    return Perceiver(embed, Latents(c.latents, c.latent_width), look, thinking(c, attention), heads,
                     crossings=c.crossings, queries=queries, ask=ask, pooler=pooler)


def start(module: nn.Module, config: Latent) -> None:
    """N(0, 1/inputs) for projections, as the authors' code has them; tables, latents, queries and heads N(0, 0.02²).
    With smaller projections a look finds so little that the norm behind it makes large gradients of it."""
    for part in module.modules():
        if isinstance(part, Linear):
            nn.init.normal_(part.weight, std=part.width_in**-0.5)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, Embed | LookupTable):
            part.reset()
    assert isinstance(module, Perceiver)
    normal(module.heads, std=0.02)


DEBUG: dict[str, Any] = dict(latents=12, latent_width=48, blocks=2, depth=2, heads=4, cross_heads=1, cross_widening=2,
                             attention_dropout=0.0)
