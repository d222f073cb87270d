"""LLaMA (Touvron et al. 2023): RMSNorm before each branch, rotary positions, grouped keys, a gated feed-forward."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import nn

from weft.models.family import FAMILIES, Family
from weft.models.published import ACTIVATIONS, Key, Published, Tie
from weft.models.rotary import rope
from weft.nn import (
    GLU,
    Attention,
    Block,
    Causal,
    Decoder,
    Embed,
    Field,
    LMHead,
    Residual,
    RMSNorm,
    RopeScheme,
    Scheme,
    Stack,
    initialise,
)


@dataclass(frozen=True)
class Llama:
    vocab: int = 32000
    context: int = 4096
    width: int = 4096
    depth: int = 32
    heads: int = 32
    kv_heads: int | None = None  # None: heads
    head_width: int | None = None  # None: width / heads
    hidden: int = 11008
    act: str = "silu"
    eps: float = 1e-5
    theta: float = 10000.0
    dropout: float = 0.0
    attention_dropout: float | None = None  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    tied: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False


def build(c: Llama, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    scheme = position or RopeScheme(c.theta)
    norm = partial(RMSNorm, c.width, eps=c.eps)
    head_width = c.head_width or c.width // c.heads
    bias = "qkvo" if c.attention_bias else ""
    attention_dropout = c.dropout if c.attention_dropout is None else c.attention_dropout
    look = partial(attention, c.width, c.heads, c.kv_heads, c.head_width, bias=bias, dropout=attention_dropout)
    layers = [
        Block(
            attn=Residual(look(relative=scheme.relative(c.heads, head_width)), pre=norm(), drop=c.dropout),
            mlp=Residual(GLU(c.width, c.hidden, act=c.act, bias=c.mlp_bias), pre=norm(), drop=c.dropout),
        )
        for _ in range(c.depth)
    ]
    stack = Stack(layers, fields={"self": Field(scheme.field(c.heads, head_width), Causal())}, norm=norm())
    embed = Embed(c.vocab, c.width, position=scheme.stem(c.width, c.context))
    return Decoder(embed, stack, head=LMHead(c.width, c.vocab, tied=c.tied))


def start(module: nn.Module, c: Llama) -> None:
    initialise.normal(module, std=0.02)


PUBLISHED = Published(
    model_type="llama",
    classes={"LlamaForCausalLM": ("lm",), "LlamaModel": ("lm",)},
    keys=(
        Key("vocab_size", "vocab", 32000),
        Key("max_position_embeddings", "context", 2048),
        Key("hidden_size", "width", 4096),
        Key("num_hidden_layers", "depth", 32),
        Key("num_attention_heads", "heads", 32),
        Key("num_key_value_heads", "kv_heads", None, follows="heads"),
        Key("head_dim", "head_width", None),
        Key("intermediate_size", "hidden", 11008),
        Key("hidden_act", "act", "silu", words=ACTIVATIONS),
        Key("rms_norm_eps", "eps", 1e-6),
        Key("attention_bias", "attention_bias", False),
        Key("mlp_bias", "mlp_bias", False),
        Key("attention_dropout", "attention_dropout", 0.0, follows="dropout"),
        Key("tie_word_embeddings", "tied", False),
    ),
    only={"pretraining_tp": (1,), "rope_interleaved": (False,)},
    inert=frozenset({"is_llama_config", "max_sequence_length"}),  # of converters; the reference reads neither
    training=("dropout",),
    seam=rope(10000.0, 2048),
    prefix="model.",
    bare=frozenset({"LlamaModel"}),
    ties=(Tie("lm_head.weight", "model.embed_tokens.weight", "tied"),),
    ignored=("model.layers.*.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"),
)

FAMILIES.register(
    "llama",
    Family(
        name="llama",
        config=Llama,
        build=build,
        initialise=start,
        sizes={
            "debug": dict(vocab=131, context=64, width=48, depth=2, heads=4, kv_heads=2, hidden=96),
            "small": dict(vocab=4096, context=256, width=384, depth=6, heads=6, hidden=1024, tied=True),
            "7b": dict(),
        },
        weights=(
            ("embed.weight", "model.embed_tokens.weight", ""),
            ("stack.layers.*.attn.pre", "model.layers.*.input_layernorm", ""),
            ("stack.layers.*.attn.branch.q", "model.layers.*.self_attn.q_proj", ""),
            ("stack.layers.*.attn.branch.k", "model.layers.*.self_attn.k_proj", ""),
            ("stack.layers.*.attn.branch.v", "model.layers.*.self_attn.v_proj", ""),
            ("stack.layers.*.attn.branch.out", "model.layers.*.self_attn.o_proj", ""),
            ("stack.layers.*.mlp.pre", "model.layers.*.post_attention_layernorm", ""),
            ("stack.layers.*.mlp.branch.gate", "model.layers.*.mlp.gate_proj", ""),
            ("stack.layers.*.mlp.branch.up", "model.layers.*.mlp.up_proj", ""),
            ("stack.layers.*.mlp.branch.down", "model.layers.*.mlp.down_proj", ""),
            ("stack.norm", "model.norm", ""),
            ("head.weight", "lm_head.weight", "optional"),
        ),
        published=PUBLISHED,
        summary="decoder, RMSNorm, rotary positions, gated feed-forward",
    ),
)
