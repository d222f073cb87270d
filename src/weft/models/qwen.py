"""Qwen 2 (Yang et al. 2024): LLaMA with biases on queries, keys and values, and a window in its upper layers where it
is used; and Qwen 3 (Yang et al. 2025), which has an RMSNorm of each head's queries and keys in place of the biases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from weft.models import kin
from weft.models.family import FAMILIES, Family, draw
from weft.models.published import Read, Seam, together
from weft.models.rotary import rope
from weft.nn import Attention, Decoder, RMSNorm, RopeScheme, Scheme


@dataclass(frozen=True)
class Qwen2(kin.Kin):
    vocab: int = 151936
    context: int = 32768
    hidden: int = 22016
    eps: float = 1e-6
    window: int | None = None  # how many places a layer of the field "local" sees
    pattern: tuple[str, ...] = ("self",)  # the field of each layer, over and over: self, local


@dataclass(frozen=True)
class Qwen3(Qwen2):
    head_width: int | None = 128
    attention_bias: bool = False


def qwen2(c: Qwen2, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    fields = kin.near_and_far(c.window, position or RopeScheme(c.theta))
    return kin.decoder(c, kin.attention_maker(c, partial(attention, bias="qkv")), kin.gated(c), fields, c.pattern)


def qwen3(c: Qwen3, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    fields = kin.near_and_far(c.window, position or RopeScheme(c.theta))
    biased = partial(attention, bias="qkvo" if c.attention_bias else "")
    attn = kin.attention_maker(c, biased, partial(RMSNorm, c.per_head, eps=c.eps))
    return kin.decoder(c, attn, kin.gated(c), fields, c.pattern)


# fmt: off
def _window(theirs: Mapping[str, Any]) -> int | None:
    return theirs.get("sliding_window", 4096) if theirs.get("use_sliding_window", False) else None


def _older(theirs: Mapping[str, Any]) -> list[str]:
    first, depth = theirs.get("max_window_layers", 28), theirs.get("num_hidden_layers", 32)
    return ["self" if _window(theirs) is None or layer < first else "local" for layer in range(depth)]


SEAM = together(rope(10000.0, 32768), kin.layers(_older), Seam(
    ("use_sliding_window", "sliding_window", "max_window_layers"), ("window",),
    lambda theirs: Read({"window": _window(theirs)}),
    lambda c, position: {"use_sliding_window": c.window is not None, "sliding_window": c.window},
    {"window": "sliding_window, where use_sliding_window is true"},
))
PLAIN: dict[str, Any] = dict(vocab=151936, context=32768, hidden=22016, kv_heads=32)
DEBUG, SMALL = kin.DEBUG | dict(window=7, pattern=["self", "local"]), kin.SMALL | dict(kv_heads=2, tied=True)
FAMILIES.register("qwen2", Family(
    name="qwen2", config=Qwen2, build=qwen2, initialise=draw,
    sizes={
        "debug": DEBUG, "small": SMALL,
        "7b": dict(vocab=152064, width=3584, depth=28, heads=28, kv_heads=4, hidden=18944, theta=1e6),
    },
    weights=kin.table(kin.PRE, kin.PROJECTIONS, kin.GATED),
    published=kin.published(
        "qwen2", "Qwen2ForCausalLM", "Qwen2Model", SEAM, defaults=PLAIN, only={"use_mrope": (False,)}
    ),
    summary="decoder, as LLaMA, biases on queries, keys and values, upper layers with a window",
))
FAMILIES.register("qwen3", Family(
    name="qwen3", config=Qwen3, build=qwen3, initialise=draw,
    sizes={
        "debug": DEBUG | dict(head_width=16), "small": SMALL | dict(head_width=64),
        "8b": dict(context=40960, depth=36, kv_heads=8, hidden=12288, theta=1e6),
    },
    weights=kin.table(kin.PRE, kin.PROJECTIONS, kin.GATED, kin.QK_NORMS),
    published=kin.published(
        "qwen3", "Qwen3ForCausalLM", "Qwen3Model", SEAM, kin.BIAS, defaults=PLAIN | dict(head_width=128)
    ),
    summary="decoder, as Qwen 2, norms of queries and keys",
))
