"""The Transformer (Vaswani et al. 2017): post-LN encoder and decoder, sinusoids, one table for everything.

Source, target and output share a table, and embeddings are multiplied by √D (§3.4). Unlike the authors' code, all four
projections have a bias, as in most later ones; there is no final norm, as post-LN needs none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import nn

from weft.models.family import FAMILIES, Family
from weft.nn import (
    MLP,
    Attention,
    Block,
    Causal,
    CrossAttention,
    Embed,
    EncoderDecoder,
    Field,
    Full,
    LayerNorm,
    LMHead,
    Position,
    Residual,
    Scheme,
    SinusoidScheme,
    Stack,
    initialise,
)


@dataclass(frozen=True)
class Transformer:
    vocab: int = 37000
    context: int = 512
    width: int = 512
    encoder_depth: int = 6
    decoder_depth: int = 6
    heads: int = 8
    hidden: int = 2048
    act: str = "relu"
    eps: float = 1e-6
    dropout: float = 0.1
    attention_dropout: float | None = None  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    tied: bool = True  # source = target = output; False: three tables


def build(c: Transformer, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> EncoderDecoder:
    scheme, head_width = position or SinusoidScheme(), c.width // c.heads
    norm = partial(LayerNorm, c.width, eps=c.eps)
    attention_dropout = c.dropout if c.attention_dropout is None else c.attention_dropout

    def look(bidirectional: bool) -> Residual:
        relative = scheme.relative(c.heads, head_width, bidirectional=bidirectional)
        own = attention(c.width, c.heads, relative=relative, dropout=attention_dropout)
        return Residual(own, after=norm(), drop=c.dropout)

    def cross() -> Residual:
        other = CrossAttention(c.width, c.heads, field="memory", dropout=attention_dropout)
        return Residual(other, after=norm(), drop=c.dropout)

    def mlp() -> Residual:
        return Residual(MLP(c.width, c.hidden, act=c.act, dropout=c.dropout), after=norm(), drop=c.dropout)

    def embed(own: bool) -> Embed:
        stem = scheme.stem(c.width, c.context)
        return Embed(c.vocab, c.width, position=stem, scale=c.width**0.5, dropout=c.dropout, own=own)

    full = Field(scheme.field(c.heads, head_width, bidirectional=True), Full())
    encoder = Stack([Block(attn=look(True), mlp=mlp()) for _ in range(c.encoder_depth)], fields={"self": full})
    decoder = Stack(
        [Block(attn=look(False), cross=cross(), mlp=mlp()) for _ in range(c.decoder_depth)],
        fields={
            "self": Field(scheme.field(c.heads, head_width), Causal()),
            "memory": Field(Position(), Full(), keys="memory"),
        },
    )
    head = LMHead(c.width, c.vocab, tied=c.tied)
    return EncoderDecoder(embed(True), encoder, embed(not c.tied), decoder, head=head)


def start(module: nn.Module, c: Transformer) -> None:
    initialise.xavier(module)


FAMILIES.register(
    "transformer",
    Family(
        name="transformer",
        config=Transformer,
        build=build,
        initialise=start,
        sizes={
            "debug": dict(vocab=131, context=64, width=48, encoder_depth=2, decoder_depth=2, heads=4, hidden=96),
            "small": dict(vocab=4096, context=128, width=256, encoder_depth=3, decoder_depth=3, heads=4, hidden=1024),
            "base": dict(),
        },
        objective="translate",
        summary="encoder–decoder, post-LN, sinusoids, three-way tying",
    ),
)
