"""What Megatron's heirs share (NeoX, BLOOM, Falcon): branches that stand in the stream one after the other or side by
side, and the names of a layer's weights, queries, keys and values fused by heads; a seam of their families."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from weft.models.weights import Table
from weft.nn import MLP, Attention, Block, Causal, Context, Decoder, Embed, Field, LayerNorm, LMHead, Pre, Residual
from weft.nn.block import Branch, Slots, Sum
from weft.nn.branch import Auxiliary
from weft.nn.scheme import Scheme
from weft.nn.stack import Stack


@dataclass(frozen=True)
class Megatron:
    vocab: int
    context: int = 2048
    width: int = 4096
    depth: int = 32
    heads: int = 32
    kv_heads: int | None = None  # None: heads
    hidden: int | None = None  # None: 4 · width
    act: str = "gelu"
    eps: float = 1e-5
    wiring: str = "sequential"  # how branches stand in the stream: see WIRINGS
    dropout: float = 0.0
    attention_dropout: float | None = None  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    tied: bool = True


class Normed(Residual):
    """n + drop(branch(n)), n = pre(x): the stream goes on from the norm."""

    def forward(self, x: Tensor, ctx: Context, slot: Slots = None) -> tuple[Tensor, Auxiliary]:
        x = self.pre(x)
        y, auxiliary = self.branch(x, ctx, slot)
        return x + self.drop(y), auxiliary


@dataclass(frozen=True)
class Wiring:
    """How attention and feed-forward stand in the stream.

    block: (attention, feed-forward, a maker of norms, dropout rate) -> a layer. attn, mlp, norms: where they are in it.
    """

    block: Callable[[Branch, Branch, Callable[[], LayerNorm], float], Block]
    attn: str = "attn.branch"
    mlp: str = "mlp.branch"
    norms: str = "{attn,mlp}.pre"


# fmt: off
_BESIDE = "both.branch.branches"
WIRINGS = {
    "sequential": Wiring(lambda attn, mlp, norm, drop: Block(
        attn=Residual(attn, pre=norm(), drop=drop), mlp=Residual(mlp, pre=norm(), drop=drop)
    )),
    "normed": Wiring(lambda attn, mlp, norm, drop: Block(
        attn=Normed(attn, pre=norm(), drop=drop), mlp=Normed(mlp, pre=norm(), drop=drop)
    )),
    "parallel": Wiring(lambda attn, mlp, norm, drop: Block(
        both=Residual(Sum(attn=Pre(norm(), attn), mlp=Pre(norm(), mlp)), drop=drop)
    ), f"{_BESIDE}.attn.branch", f"{_BESIDE}.mlp.branch", f"{_BESIDE}.{{attn,mlp}}.norm"),
    "shared": Wiring(lambda attn, mlp, norm, drop: Block(  # one norm for both
        both=Residual(Sum(attn=attn, mlp=mlp), pre=norm(), drop=drop)
    ), f"{_BESIDE}.attn", f"{_BESIDE}.mlp", "both.pre"),
}
# fmt: on


def wiring(name: str) -> Wiring:
    """ValueError where there is none of this name."""
    if name not in WIRINGS:
        raise ValueError(f"wiring = {name!r}, but branches stand in the stream in one of these: {', '.join(WIRINGS)}")
    return WIRINGS[name]


def decoder(
    c: Megatron, scheme: Scheme, attention: type[Attention], embed: Embed, *, bias: str = "qkvo", mlp_bias: bool = True
) -> Decoder:
    """Pre-LN layers, wired as the config says, a norm and a head; bias: of the attention's projections."""
    head_width, norm = c.width // c.heads, partial(LayerNorm, c.width, eps=c.eps)
    attention_dropout = c.dropout if c.attention_dropout is None else c.attention_dropout
    look = partial(attention, c.width, c.heads, c.kv_heads, bias=bias, dropout=attention_dropout)
    mlp = partial(MLP, c.width, c.hidden or 4 * c.width, act=c.act, bias=mlp_bias)
    layers = [
        wiring(c.wiring).block(look(relative=scheme.relative(c.heads, head_width)), mlp(), norm, c.dropout)
        for _ in range(c.depth)
    ]
    stack = Stack(layers, fields={"self": Field(scheme.field(c.heads, head_width), Causal())}, norm=norm())
    return Decoder(embed, stack, head=LMHead(c.width, c.vocab, tied=c.tied))


def names(c: Megatron, embed: str, layer: str, attention: str, norms: str, last: str, head: str) -> Table:
    """A model's weights by their words for its parts; keys are fused with the queries that share them."""
    ours, wired, groups = "stack.layers.*", wiring(c.wiring), c.kv_heads or c.heads
    join = f"join {groups} {c.heads // groups}:1:1"
    return (
        ("embed.weight", f"{embed}.weight", ""),
        (f"{ours}.{wired.norms}", f"{layer}.{norms}", ""),
        (f"{ours}.{wired.attn}.{{q,k,v}}", f"{layer}.{attention}.query_key_value", join),
        (f"{ours}.{wired.attn}.out", f"{layer}.{attention}.dense", ""),
        (f"{ours}.{wired.mlp}.{{up,down}}", f"{layer}.mlp.{{dense_h_to_4h,dense_4h_to_h}}", ""),
        ("stack.norm", last, ""),
        ("head.weight", f"{head}.weight", "optional"),
    )
