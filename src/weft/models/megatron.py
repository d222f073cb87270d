"""What Megatron's heirs share (NeoX, BLOOM, Falcon): branches that stand in the stream one after the other or side by
side, and the names of a layer's weights, queries, keys and values fused by heads; a seam of their families."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from torch import Tensor

from weft.models.published import Table
from weft.nn import MLP, Attention, Block, Causal, Context, Decoder, Embed, Field, LayerNorm, LMHead, Pre, Residual
from weft.nn.block import Branch, Slots, Sum
from weft.nn.branch import Auxiliary
from weft.nn.scheme import Scheme
from weft.nn.stack import Stack


class Normed(Residual):
    """n + drop(branch(n)), n = pre(x): the stream goes on from the norm.

    It is BERT's order (each sum is normed, and the norm is what the next one adds to) in pre-LN's parts: Megatron's
    option `apply_residual_connection_post_layernorm`, which BLOOM's configs have kept, off by default.
    """

    def forward(self, x: Tensor, ctx: Context, slot: Slots = None) -> tuple[Tensor, Auxiliary]:
        x = self.pre(x)
        y, auxiliary = self.branch(x, ctx, slot)
        return x + self.drop(y), auxiliary


# fmt: off
class Wiring(NamedTuple):
    """How attention and feed-forward stand in the stream. block: (attention, feed-forward, a maker of norms, one of
    residuals) -> a layer, in which parts are at `attn`, `mlp` and `norms`. residual: what is made."""

    block: Callable[[Branch, Branch, Callable[[], LayerNorm], Callable[..., Residual]], Block]
    attn: str = "attn.branch"
    mlp: str = "mlp.branch"
    norms: tuple[str, ...] = ("attn.pre", "mlp.pre")
    residual: type[Residual] = Residual


_SUM = "both.branch.branches"
_SEQUENTIAL = Wiring(lambda attn, mlp, norm, add: Block(attn=add(attn, pre=norm()), mlp=add(mlp, pre=norm())))
_PARALLEL = Wiring(
    lambda attn, mlp, norm, add: Block(both=add(Sum(attn=Pre(norm(), attn), mlp=Pre(norm(), mlp)))),
    f"{_SUM}.attn.branch", f"{_SUM}.mlp.branch", (f"{_SUM}.attn.norm", f"{_SUM}.mlp.norm"),
)
_SHARED = Wiring(  # one norm for both
    lambda attn, mlp, norm, add: Block(both=add(Sum(attn=attn, mlp=mlp), pre=norm())),
    f"{_SUM}.attn", f"{_SUM}.mlp", ("both.pre",),
)
_NORMED = _SEQUENTIAL._replace(residual=Normed)
WIRINGS = {"sequential": _SEQUENTIAL, "parallel": _PARALLEL, "shared": _SHARED, "normed": _NORMED}


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

    def __post_init__(self) -> None:
        if self.wiring not in WIRINGS:
            raise ValueError(f"wiring = {self.wiring!r}, but branches stand in the stream as {', '.join(WIRINGS)}")


def decoder(
    c: Megatron, scheme: Scheme, attention: type[Attention], embed: Embed, *, bias: str = "qkvo", mlp_bias: bool = True
) -> Decoder:
    """Pre-LN layers, wired as the config says, a norm and a head; bias: of the attention's projections."""
    head_width, norm = c.width // c.heads, partial(LayerNorm, c.width, eps=c.eps)
    attention_dropout = c.dropout if c.attention_dropout is None else c.attention_dropout
    attn = partial(attention, c.width, c.heads, c.kv_heads, bias=bias, dropout=attention_dropout)
    mlp = partial(MLP, c.width, c.hidden or 4 * c.width, act=c.act, bias=mlp_bias)
    wired, relative = WIRINGS[c.wiring], partial(scheme.relative, c.heads, head_width)
    add = partial(wired.residual, drop=c.dropout)
    layers = [wired.block(attn(relative=relative()), mlp(), norm, add) for _ in range(c.depth)]
    stack = Stack(layers, fields={"self": Field(scheme.field(c.heads, head_width), Causal())}, norm=norm())
    return Decoder(embed, stack, head=LMHead(c.width, c.vocab, tied=c.tied))


def names(
    c: Megatron, *, embed: str = "transformer.word_embeddings", layer: str = "transformer.h.*",
    attention: str = "self_attention", norms: tuple[str, str] = ("input_layernorm", "post_attention_layernorm"),
    last: str = "transformer.ln_f", head: str = "lm_head",
) -> Table:
    """A model's weights by their words for its parts; keys are fused with the queries that share them."""
    ours, wired, groups = "stack.layers.*", WIRINGS[c.wiring], c.kv_heads or c.heads
    join = f"join {groups} {c.heads // groups}:1:1"
    return (
        ("embed.weight", f"{embed}.weight", ""), ("stack.norm", last, ""),
        *((f"{ours}.{own}", f"{layer}.{its}", "") for own, its in zip(wired.norms, norms, strict=False)),
        (f"{ours}.{wired.attn}.{{q,k,v}}", f"{layer}.{attention}.query_key_value", join),
        (f"{ours}.{wired.attn}.out", f"{layer}.{attention}.dense", ""),
        (f"{ours}.{wired.mlp}.{{up,down}}", f"{layer}.mlp.{{dense_h_to_4h,dense_4h_to_h}}", ""),
        ("head.weight", f"{head}.weight", "optional"),
    )
