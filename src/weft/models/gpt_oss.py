"""GPT-OSS (OpenAI 2025): a window in every other layer, a sink for each head, biases everywhere, YaRN, and experts
whose gate and up are clamped: (up + 1) · gate · σ(alpha · gate).

Published weights are in mxfp4, which is refused: load them in the reference with `dequantize=True` and save that.
`balance` is as Mixtral's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from weft.models import kin
from weft.models.family import FAMILIES, Family, draw
from weft.models.published import Key, Table, together
from weft.models.rotary import rope
from weft.nn import GLU, Attention, Decoder, Experts, RopeScheme, Scheme
from weft.nn.rope import Yarn


@dataclass(frozen=True)
class GptOss(kin.Kin):
    vocab: int = 201088
    context: int = 131072
    width: int = 2880
    depth: int = 36
    heads: int = 64
    kv_heads: int | None = 8
    head_width: int | None = 64
    hidden: int = 2880
    theta: float = 150000.0
    attention_bias: bool = True
    window: int | None = 128
    pattern: tuple[str, ...] = ("local", "self")  # the field of each layer, over and over
    experts: int = 128
    top: int = 4  # of them for each token
    alpha: float = 1.702
    limit: float = 7.0  # where gate (above) and up (both sides) are clamped
    balance: float = 0.01  # the weight of the experts' balance in training


LONG = Yarn(32.0, 4096, truncate=False)


def clamped(gate: Tensor, up: Tensor, *, alpha: float, limit: float) -> Tensor:
    """gate, up [.., hidden] -> [.., hidden]."""
    gate, up = gate.clamp(max=limit), up.clamp(-limit, limit)
    return (up + 1) * (gate * torch.sigmoid(gate * alpha))


def build(c: GptOss, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    expert = partial(GLU, c.width, c.hidden, bias=True, combine=partial(clamped, alpha=c.alpha, limit=c.limit))

    def mlp() -> Experts:
        return Experts(c.width, [expert() for _ in range(c.experts)], top=c.top, bias=True)

    attn = kin.attention_maker(c, partial(attention, bias="qkvo" if c.attention_bias else "", sink=True))
    fields = kin.near_and_far(c.window, position or RopeScheme(c.theta, scaling=LONG))
    return kin.decoder(c, attn, mlp, fields, c.pattern)


# fmt: off
def weights(c: GptOss) -> Table:
    """Of all experts together, gate and up by turns."""
    numbers, stack, turns = ",".join(map(str, range(c.experts))), f"stack {c.experts}", f"join {c.hidden} 1:1"
    ours, theirs = f"stack.layers.*.mlp.branch.experts.{{{numbers}}}", "model.layers.*.mlp"
    return kin.table(
        kin.PRE, kin.PROJECTIONS, ("stack.layers.*.attn.branch.sink", "model.layers.*.self_attn.sinks", ""),
        ("stack.layers.*.mlp.branch.router", f"{theirs}.router", ""),
        (ours + ".{gate,up}.weight", f"{theirs}.experts.gate_up_proj", f"{stack}, transpose, {turns}"),
        (ours + ".{gate,up}.bias", f"{theirs}.experts.gate_up_proj_bias", f"{stack}, {turns}"),
        (ours + ".down.weight", f"{theirs}.experts.down_proj", f"{stack}, transpose"),
        (ours + ".down.bias", f"{theirs}.experts.down_proj_bias", stack),
    )


# random biases make all tokens alike: each takes every expert, so that all of them learn
DEBUG = kin.DEBUG | dict(head_width=16, hidden=40, window=7, experts=3, top=3)
FAMILIES.register("gpt_oss", Family(
    name="gpt_oss", config=GptOss, build=build, initialise=draw, weights=weights,
    sizes={
        "debug": DEBUG, "small": DEBUG | dict(vocab=4096, context=256, width=256, depth=6, head_width=64, hidden=256,
                                       experts=4, top=2),
        "20b": dict(depth=24, experts=32), "120b": dict(),
    },
    terms=lambda c: {"balance": c.balance},
    published=kin.published(
        "gpt_oss", "GptOssForCausalLM", "GptOssModel",
        together(rope(150000.0, 131072, scaling=LONG), kin.layers(lambda theirs: ("local", "self"))),
        Key("attention_bias", "attention_bias", True), Key("sliding_window", "window", 128),
        Key("num_local_experts", "experts", 128, also=("num_experts",)), Key("num_experts_per_tok", "top", 4),
        Key("swiglu_alpha", "alpha", 1.702), Key("swiglu_limit", "limit", 7.0),
        Key("router_aux_loss_coef", "balance", 0.001),
        defaults=dict(vocab=201088, context=131072, width=2880, depth=36, heads=64, kv_heads=8, head_width=64,
                      hidden=2880, eps=1e-5),
        inert=("output_router_logits", "experts_per_token", "initial_context_length"),
    ),
    summary="decoder, a window in every other layer, sinks, YaRN, experts with clamped gates",
))
