"""Music Transformer (Huang et al. 2018): a decoder of events that tells places apart by how far back they lie.

Each head of each layer has a trained vector for each distance up to `distance`, held against its queries (§3.4,
"relative global attention"). Where we differ: what the paper makes by skewing is looked up by distance, which is the
same for neighbouring places and goes on holding in packed and padded rows (`weft.nn.relative.Music`); and no sinusoids
are added to events, which the paper's code had beside its distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from weft.models.family import FAMILIES, Family
from weft.nn import (
    MLP,
    Attention,
    Block,
    Causal,
    Decoder,
    Embed,
    Field,
    LayerNorm,
    LMHead,
    MusicScheme,
    Residual,
    Scheme,
    Stack,
)
from weft.nn.initialise import normal


@dataclass(frozen=True)
class Music:
    vocab: int = 388  # of the paper's piano performances: on, off, time and loudness
    context: int = 2048
    width: int = 256
    depth: int = 6
    heads: int = 8
    hidden: int = 1024
    act: str = "relu"
    eps: float = 1e-6
    dropout: float = 0.1
    attention_dropout: float | None = None  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    distance: int | None = None  # how many places back are told apart; None: context, as far as a row goes
    tied: bool = False


# fmt: off
def build(c: Music, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    scheme, head_width = position or MusicScheme(c.distance or c.context), c.width // c.heads
    norm, relative = partial(LayerNorm, c.width, eps=c.eps), partial(scheme.relative, c.heads, head_width)
    rate = c.dropout if c.attention_dropout is None else c.attention_dropout
    layers = [
        Block(attn=Residual(attention(c.width, c.heads, relative=relative(), dropout=rate), pre=norm(), drop=c.dropout),
              mlp=Residual(MLP(c.width, c.hidden, act=c.act), pre=norm(), drop=c.dropout))
        for _ in range(c.depth)
    ]
    stack = Stack(layers, fields={"self": Field(scheme.field(c.heads, head_width), Causal())}, norm=norm())
    embed = Embed(c.vocab, c.width, position=scheme.stem(c.width, c.context), dropout=c.dropout)
    return Decoder(embed, stack, head=LMHead(c.width, c.vocab, tied=c.tied))


FAMILIES.register("music", Family(
    name="music", config=Music, build=build, initialise=lambda module, c: normal(module, std=0.02, depth=c.depth),
    reads="signals", modality="music",
    sizes={
        "debug": dict(vocab=131, context=64, width=48, depth=2, heads=4, hidden=96, dropout=0.0, distance=24),
        "small": dict(vocab=131, context=512, width=256, depth=4, heads=4, hidden=1024),
        "base": dict(),
    },
    summary="decoder, pre-LN, a vector for each distance in each head, for events of music",
))
