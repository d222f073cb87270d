"""LLaMA (Touvron et al. 2023): RMSNorm before each branch, rotary positions, grouped keys, a gated feed-forward.

Mistral (Jiang et al. 2023) is that with a window in every layer; Mixtral (Jiang et al. 2024) has experts in place of
the feed-forward, of which each token takes a few. Where the reference adds the balance of its experts to the loss only
where it is told to output the router's scores, training here always does, times `balance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from weft.models import kin
from weft.models.family import FAMILIES, Family, draw
from weft.models.published import Key
from weft.models.rotary import rope
from weft.nn import GLU, Attention, Causal, Decoder, Experts, RopeScheme, Scheme


@dataclass(frozen=True)
class Llama(kin.Kin):
    attention_bias: bool = False
    mlp_bias: bool = False


@dataclass(frozen=True)
class Mistral(kin.Kin):
    context: int = 131072
    kv_heads: int | None = 8
    hidden: int = 14336
    window: int | None = 4096  # how many places each layer sees, its own among them; None: all that came before


@dataclass(frozen=True)
class Mixtral(Mistral):
    theta: float = 1e6
    window: int | None = None
    experts: int = 8
    top: int = 2  # of them for each token
    balance: float = 0.01  # the weight of their balance in training


def build(c: Llama, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    attn = kin.attention_maker(c, partial(attention, bias="qkvo" if c.attention_bias else ""))
    mlp = partial(GLU, c.width, c.hidden, act=c.act, bias=c.mlp_bias)
    return kin.decoder(c, attn, mlp, {"self": (position or RopeScheme(c.theta), Causal())})


def mistral(c: Mistral, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    fields = {"self": (position or RopeScheme(c.theta), kin.causal(c.window))}
    return kin.decoder(c, kin.attention_maker(c, partial(attention, bias="")), kin.gated(c), fields)


def mixtral(c: Mixtral, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    def mlp() -> Experts:
        return Experts(c.width, [kin.gated(c)() for _ in range(c.experts)], top=c.top)

    fields = {"self": (position or RopeScheme(c.theta), kin.causal(c.window))}
    return kin.decoder(c, kin.attention_maker(c, partial(attention, bias="")), mlp, fields)


# fmt: off
MISTRAL = dict(context=131072, kv_heads=8, hidden=14336)
EXPERTS = (
    ("stack.layers.*.mlp.branch.router", "model.layers.*.block_sparse_moe.gate", ""),
    ("stack.layers.*.mlp.branch.experts.*.{gate,down,up}", "model.layers.*.block_sparse_moe.experts.*.{w1,w2,w3}", ""),
)
FAMILIES.register("llama", Family(
    name="llama", config=Llama, build=build, initialise=draw,
    sizes={"debug": kin.DEBUG, "small": kin.SMALL | dict(tied=True), "7b": dict()},
    weights=kin.table(kin.PRE, kin.PROJECTIONS, kin.GATED),
    published=kin.published(
        "llama", "LlamaForCausalLM", "LlamaModel", rope(10000.0, 2048), kin.BIAS,
        Key("mlp_bias", "mlp_bias", False), defaults={},
        only={"pretraining_tp": (1,), "rope_interleaved": (False,)},
        inert=("is_llama_config", "max_sequence_length"),  # of converters; the reference reads neither
    ),
    summary="decoder, RMSNorm, rotary positions, gated feed-forward",
))
FAMILIES.register("mistral", Family(
    name="mistral", config=Mistral, build=mistral, initialise=draw,
    sizes={
        "debug": kin.DEBUG | dict(window=7), "small": kin.SMALL | dict(kv_heads=2, window=64),
        "7b": dict(context=32768),
    },
    weights=kin.table(kin.PRE, kin.PROJECTIONS, kin.GATED),
    published=kin.published(
        "mistral", "MistralForCausalLM", "MistralModel", rope(10000.0, 131072),
        Key("sliding_window", "window", 4096), defaults=MISTRAL, only={"attention_bias": (False,)},
    ),
    summary="decoder, as LLaMA, a window in every layer",
))
FAMILIES.register("mixtral", Family(
    name="mixtral", config=Mixtral, build=mixtral, initialise=draw,
    sizes={
        "debug": kin.DEBUG | dict(hidden=40, experts=4, top=3),  # so that a near tie weighs little
        "small": kin.SMALL | dict(width=256, heads=4, kv_heads=2, hidden=512, experts=4),
        "8x7b": dict(context=32768),
    },
    terms=lambda c: {"balance": c.balance}, weights=kin.table(kin.PRE, kin.PROJECTIONS, *EXPERTS),
    published=kin.published(
        "mixtral", "MixtralForCausalLM", "MixtralModel", rope(1e6, 131072), Key("sliding_window", "window", None),
        Key("num_local_experts", "experts", 8, also=("num_experts",)), Key("num_experts_per_tok", "top", 2),
        Key("router_aux_loss_coef", "balance", 0.001), defaults=MISTRAL | dict(eps=1e-5),
        only={"attention_bias": (False,)}, inert=("output_router_logits",), untaught=("router_jitter_noise",),
    ),
    summary="decoder, as Mistral, experts for feed-forwards",
))
