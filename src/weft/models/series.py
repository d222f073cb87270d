"""A Transformer of numbers: a row's places are vectors (a series' channels at one time), and so is what is told.

`looks` says what a place sees: "back", itself and what came before, for the head "next", which tells the vector that
follows; "both", all of its row, for "hidden", which tells vectors that were hidden (Zerveas et al. 2021, §3). Pre-LN,
rotary positions; where we differ from Zerveas et al.: their layers have BatchNorm, and positions are trained. With
`lags` the model tells how far a simpler answer is wrong, see `forecasting`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from weft.models.family import FAMILIES, Family, draw
from weft.models.forecasting import Autoregressive, Between, Departure, Forecaster
from weft.models.signals import NoIds
from weft.nn import MLP, Attention, Block, Causal, Encoder, Field, Full, LayerNorm, Residual, RopeScheme, Scheme, Stack
from weft.nn.vectors import VectorHead, Vectors


@dataclass(frozen=True)
class Series(NoIds):
    channels: int = 1
    context: int = 512
    width: int = 256
    depth: int = 6
    heads: int = 8
    hidden: int = 1024
    act: str = "gelu"
    eps: float = 1e-5
    looks: Literal["back", "both"] | None = None  # None: back where "next" is told, else both
    dropout: float = 0.1
    attention_dropout: float | None = None  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    tasks: tuple[str, ...] = ("next",)
    lags: int | None = None  # vectors of a linear autoregression beside the stack (of "hidden": a line); None: none
    reads: Literal["values", "rises"] = "values"  # rises: by how much vectors are above their row's first


# fmt: off
def build(c: Series, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    looks = c.looks or ("back" if "next" in c.tasks else "both")
    scheme, head_width, both = position or RopeScheme(), c.width // c.heads, looks == "both"
    if unknown := [task for task in c.tasks if task not in ("next", "hidden")]:
        raise ValueError(f"tasks = {c.tasks}, but no task is called {unknown[0]!r}: there are next and hidden")
    norm, relative = partial(LayerNorm, c.width, eps=c.eps), partial(scheme.relative, c.heads, head_width)
    rate = c.dropout if c.attention_dropout is None else c.attention_dropout
    attn = partial(attention, c.width, c.heads, dropout=rate)
    layers = [
        Block(attn=Residual(attn(relative=relative(bidirectional=both)), pre=norm(), drop=c.dropout),
              mlp=Residual(MLP(c.width, c.hidden, act=c.act), pre=norm(), drop=c.dropout))
        for _ in range(c.depth)
    ]
    field = Field(scheme.field(c.heads, head_width, bidirectional=both), Full() if both else Causal())
    stem = Vectors(c.channels, c.width, position=scheme.stem(c.width, c.context), dropout=c.dropout)
    stack = Stack(layers, fields={"self": field}, norm=norm())
    if c.lags is None:
        if c.reads == "rises":
            raise ValueError("reads = rises says nothing of how high a series is: let a line say it, lags = 1 or more")
        return Encoder(stem, stack, {task: VectorHead(c.width, c.channels) for task in c.tasks})
    if len(c.tasks) != 1 or (c.reads == "rises" and both):
        raise ValueError(f"lags = {c.lags} is of one task, and rises are of next: tasks = {c.tasks}, looks = {looks}")
    beside = Autoregressive(c.channels, c.lags) if c.tasks == ("next",) else Between()
    heads = {task: Departure(c.width, c.channels) for task in c.tasks}
    return Forecaster(stem, stack, heads, beside, since=c.reads == "rises")


def start(module: nn.Module, c: Series) -> None:
    """N(0, 0.02²); what begins at a simpler answer is 0."""
    draw(module, c)
    for part in module.modules():
        if isinstance(part, Autoregressive | Departure):
            part.reset()


FAMILIES.register("series", Family(
    name="series", config=Series, build=build, initialise=start, objective="next_vector",
    reads="signals", modality="series",
    sizes={
        "debug": dict(channels=3, context=64, width=48, depth=2, heads=4, hidden=96, dropout=0.0),
        "small": dict(channels=1, context=256, width=128, depth=4, heads=4, hidden=512),
        "base": dict(),
    },
    summary="rows of numbers, pre-LN, rotary positions; tells the next vector, or hidden ones",
))
