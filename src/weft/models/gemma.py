"""Gemma 2 (Gemma team 2024) and the text model of Gemma 3 (2025): layers that see a window and layers that see all,
in a pattern; RMSNorms before and after each branch, whose weights are added to 1; embeddings times √D.

Gemma 2 caps the scores of attention and head by tanh; Gemma 3 has norms of queries and keys, and turns its local layers
by other angles than the others. A position scheme that is put in takes the place of both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from weft.models import kin
from weft.models.family import FAMILIES, Family, draw
from weft.models.published import ACTIVATIONS, Key, together
from weft.models.rotary import rope, rope_by_layer
from weft.nn import Attention, Block, Branch, Decoder, Residual, RMSNorm, RopeScheme, Scheme


@dataclass(frozen=True)
class Gemma2(kin.Kin):
    vocab: int = 256000
    context: int = 8192
    width: int = 2304
    depth: int = 26
    heads: int = 8
    kv_heads: int | None = 4
    head_width: int | None = 256
    hidden: int = 9216
    act: str = "gelu_tanh"
    eps: float = 1e-6
    tied: bool = True
    attention_bias: bool = False
    query_width: int = 256  # scores are divided by its root
    window: int | None = 4096
    pattern: tuple[str, ...] = ("local", "self")  # the field of each layer, over and over
    softcap: float | None = 50.0  # of the scores of attention
    head_softcap: float | None = 30.0


@dataclass(frozen=True)
class Gemma3(Gemma2):
    vocab: int = 262208
    context: int = 131072
    pattern: tuple[str, ...] = ("local",) * 5 + ("self",)
    softcap: float | None = None
    head_softcap: float | None = None
    rope: RopeScheme = field(default_factory=lambda: RopeScheme(1e6))  # of the field "self", in place of theta
    local_rope: RopeScheme = field(default_factory=RopeScheme)


class Rounded(nn.Module):
    """scale · x, the scale rounded to x's precision first, as the reference does (in bf16, √3072 is 55.5)."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.tensor(self.scale, dtype=x.dtype, device=x.device)


def gemma2(c: Gemma2, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    return _build(c, kin.near_and_far(c.window, position or RopeScheme(c.theta)), attention, nn.Identity)


def gemma3(c: Gemma3, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    fields = kin.near_and_far(c.window, position or c.rope, position or c.local_rope)
    return _build(c, fields, attention, partial(RMSNorm, c.per_head, eps=c.eps, offset=1.0))


def _build(c: Gemma2, fields: kin.Fields, attention: type[Attention], qk_norm: Callable[[], nn.Module]) -> Decoder:
    """qk_norm: what is done to each head's queries, and to its keys."""
    norm, bias = partial(RMSNorm, c.width, eps=c.eps, offset=1.0), "qkvo" if c.attention_bias else ""
    attn = kin.attention_maker(c, partial(attention, bias=bias, scale=c.query_width**-0.5, softcap=c.softcap), qk_norm)

    def layer(c: Gemma2, attn: Branch, mlp: Branch) -> Block:
        around = partial(Residual, drop=c.dropout)
        return Block(attn=around(attn, pre=norm(), post=norm()), mlp=around(mlp, pre=norm(), post=norm()))

    scale = Rounded(c.width**0.5)
    return kin.decoder(
        c, attn, kin.gated(c), fields, c.pattern, layer=layer, norm=norm(), scale=scale, softcap=c.head_softcap
    )


# fmt: off
KEYS = (
    Key("hidden_activation", "act", "gelu_pytorch_tanh", words=ACTIVATIONS), kin.BIAS,
    Key("query_pre_attn_scalar", "query_width", 256), Key("sliding_window", "window", 4096),
)
SIZES: dict[str, Any] = dict(width=2304, depth=26, heads=8, kv_heads=4, head_width=256, hidden=9216, tied=True)
ONLY = {"use_bidirectional_attention": (False,)}
DEAD = ("hidden_act", "cache_implementation", "sliding_window_size", "_sliding_window_pattern")  # which nothing reads
NORMS = (
    ("stack.layers.*.attn.{pre,post}", "model.layers.*.{input,post_attention}_layernorm", ""),
    ("stack.layers.*.mlp.{pre,post}", "model.layers.*.{pre,post}_feedforward_layernorm", ""),
)
DEBUG = kin.DEBUG | dict(head_width=16, window=7, query_width=16, pattern=["local", "self"])
SMALL = DEBUG | kin.SMALL | dict(heads=4, head_width=64, window=64, query_width=64)
FAMILIES.register("gemma2", Family(
    name="gemma2", config=Gemma2, build=gemma2, initialise=draw,
    sizes={"debug": DEBUG, "small": SMALL, "2b": dict()}, weights=kin.table(kin.PROJECTIONS, kin.GATED, *NORMS),
    published=kin.published(
        "gemma2", "Gemma2ForCausalLM", "Gemma2Model",
        together(rope(10000.0, 8192), kin.layers(lambda theirs: ("local", "self"))), *KEYS,
        Key("attn_logit_softcapping", "softcap", 50.0), Key("final_logit_softcapping", "head_softcap", 30.0),
        defaults=SIZES | dict(vocab=256000, context=8192), only=ONLY, inert=DEAD,
    ),
    summary="decoder, a window in every other layer, norms around each branch, capped scores",
))
ROPES = {"full_attention": ("rope", 1e6), "sliding_attention": ("local_rope", 1e4)}
OLDER = {"rope_theta": "full_attention", "rope_local_base_freq": "sliding_attention"}
FAMILIES.register("gemma3", Family(
    name="gemma3", config=Gemma3, build=gemma3, initialise=draw,
    sizes={
        "debug": DEBUG, "small": SMALL,
        "1b": dict(vocab=262144, context=32768, width=1152, heads=4, kv_heads=1, hidden=6912, window=512),
    },
    weights=kin.table(kin.PROJECTIONS, kin.GATED, kin.QK_NORMS, *NORMS),
    published=kin.published(
        "gemma3_text", "Gemma3ForCausalLM", "Gemma3TextModel",
        together(rope_by_layer(ROPES, 131072, OLDER, ("full_attention",)), kin.layers(
            lambda theirs: ("local",) * (theirs.get("sliding_window_pattern", 6) - 1) + ("self",),
            "sliding_window_pattern",
        )),
        *KEYS, Key("final_logit_softcapping", "head_softcap", None),
        defaults=SIZES | dict(vocab=262208, context=131072), only=ONLY, inert=(*DEAD, "attn_logit_softcapping"),
    ),
    summary="decoder, five layers with a window to one without, norms of queries and keys, two rotary bases",
))
