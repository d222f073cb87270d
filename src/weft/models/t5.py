"""T5 (Raffel et al. 2020), 1.0 and 1.1, mT5 (Xue et al. 2021), ByT5 (Xue et al. 2022) and UMT5 (Chung et al. 2023):
pre-LN encoder–decoders whose scores learn from distance alone.

1.0 has a relu feed-forward and a tied head that reads x / √D; 1.1 a gated feed-forward and a head of its own that reads
x. mT5 and ByT5 are 1.1 on other ids; in UMT5 each layer has a table of distances, where the others have one for all of
a stack's, cross-attention none. The reference, at version 5, scales T5's x as its config says, UMT5's always and mT5's
never (at version 4 what was tied): so do we. Nothing has a bias, norms are not centred, and scores are not divided by
√K: the initialisation of the queries is. Trained on rows of 512, they place rows of any length: `context` says how long
a row generation and data make.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import nn

from weft.models.family import FAMILIES, Family
from weft.models.pair import DEBUG, SMALL, Side, pair
from weft.models.published_t5 import EACH, ONE, ROWS, published
from weft.nn import GLU, MLP, Attention, Embed, EncoderDecoder, LMHead, Residual, RMSNorm, Scheme, initialise
from weft.nn.position import T5Bias
from weft.nn.scheme import T5LayerScheme, T5Scheme


@dataclass(frozen=True)
class T5:
    vocab: int = 32128
    context: int = 512
    width: int = 512
    encoder_depth: int = 6
    decoder_depth: int | None = None  # None: encoder_depth
    heads: int = 8
    head_width: int = 64  # heads · head_width need not be the width
    hidden: int = 2048
    act: str = "relu"
    gated: bool = False
    eps: float = 1e-6
    buckets: int = 32  # of distance, half of them exact
    distance: int = 128  # from where on all are one
    dropout: float = 0.1
    attention_dropout: float | None = None  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    tied: bool = True  # source = target = output; False: the output has a table of its own
    scaled: bool = True  # the head reads x / √width
    scheme: ClassVar[type[T5Scheme]] = T5Scheme


@dataclass(frozen=True)
class MT5(T5):
    vocab: int = 250112
    encoder_depth: int = 8
    heads: int = 6
    hidden: int = 1024
    act: str = "gelu_tanh"
    gated: bool = True
    scaled: bool = False


@dataclass(frozen=True)
class UMT5(MT5):
    scaled: bool = True
    scheme: ClassVar[type[T5Scheme]] = T5LayerScheme


def build(c: T5, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> EncoderDecoder:
    scheme, norm = position or c.scheme(c.buckets, c.distance), partial(RMSNorm, c.width, eps=c.eps)
    rate = c.dropout if c.attention_dropout is None else c.attention_dropout
    mlp = partial(GLU if c.gated else MLP, c.width, c.hidden, act=c.act, bias=False, dropout=c.dropout)

    def side(depth: int, own: bool) -> Side:
        embed = Embed(c.vocab, c.width, position=scheme.stem(c.width, c.context), dropout=c.dropout, own=own)
        return Side(embed, depth, c.heads, mlp)

    return pair(
        scheme, attention, side(c.encoder_depth, True), side(c.decoder_depth or c.encoder_depth, False),
        head_width=c.head_width, bias="", scale=1.0, rate=rate,
        residual=lambda branch: Residual(branch, pre=norm(), drop=c.dropout), norm=norm, dropout=c.dropout,
        head=LMHead(c.width, c.vocab, tied=c.tied, scale=c.width**-0.5 if c.scaled else 1.0),
    )  # fmt: skip


def draw(module: nn.Module, c: T5) -> None:
    """As the authors' code: every score begins at a scale of 1, √K being taken out of the queries."""
    initialise.fan_in(module)
    if c.tied and not c.scaled:  # the table is also the head's
        nn.init.normal_(module.get_parameter("embed.weight"), std=c.width**-0.5)
    for part in module.modules():
        if isinstance(part, Attention):
            nn.init.normal_(part.q.weight, std=(c.width * c.head_width) ** -0.5)
        elif isinstance(part, T5Bias):
            nn.init.normal_(part.weight, std=c.width**-0.5)


# fmt: off
NARROW = DEBUG | dict(head_width=16)
BASE = dict(width=768, encoder_depth=12, heads=12, hidden=2048)
OWN_HEAD: dict[str, Any] = dict(tied=False, scaled=False)
BYTES = dict(vocab=384, context=1024, width=1472, encoder_depth=12, decoder_depth=4, heads=6, hidden=3584)
family = partial(Family, build=build, initialise=draw, objective="translate")
FAMILIES.register("t5", family(
    name="t5", config=T5, published=published(T5, "T5", headless="T5Model"), weights=(*ROWS, *ONE),
    sizes={
        "debug": NARROW, "small": SMALL, "base": BASE | dict(hidden=3072),
        "byt5-small": dict(act="gelu_tanh", gated=True, **BYTES, **OWN_HEAD),
    },
    summary="encoder–decoder, RMSNorm, scores by distance; 1.0 and 1.1, ByT5",
))
FAMILIES.register("mt5", family(
    name="mt5", config=MT5, published=published(MT5, "MT5"), weights=(*ROWS, *ONE),
    sizes={"debug": NARROW, "small": SMALL, "base": BASE | OWN_HEAD},
    summary="encoder–decoder, T5 1.1 of many languages",
))
FAMILIES.register("umt5", family(
    name="umt5", config=UMT5, published=published(UMT5, "UMT5"), weights=(*ROWS, *EACH),
    sizes={"debug": NARROW, "small": SMALL, "base": BASE},
    summary="encoder–decoder, T5 1.1 with distances for each layer",
))
