"""GPT-2 (Radford et al. 2019): a pre-LN decoder with trained positions and a tied head."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import nn

from weft.models.family import FAMILIES, Family
from weft.models.published import ACTIVATIONS, Key, Published, Tie
from weft.nn import (
    MLP,
    Attention,
    Block,
    Causal,
    Decoder,
    Embed,
    Field,
    LayerNorm,
    LearnedScheme,
    LMHead,
    Residual,
    Scheme,
    Stack,
    initialise,
)


@dataclass(frozen=True)
class GPT2:
    vocab: int = 50257
    context: int = 1024
    width: int = 768
    depth: int = 12
    heads: int = 12
    kv_heads: int | None = None  # None: heads, as published
    hidden: int | None = None  # None: 4 · width
    act: str = "gelu_tanh"
    eps: float = 1e-5
    bias: bool = True
    dropout: float = 0.0
    attention_dropout: float | None = None  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    tied: bool = True


def build(c: GPT2, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    scheme = position or LearnedScheme()
    norm = partial(LayerNorm, c.width, eps=c.eps, bias=c.bias)
    bias, hidden, head_width = "qkvo" if c.bias else "", c.hidden or 4 * c.width, c.width // c.heads
    attention_dropout = c.dropout if c.attention_dropout is None else c.attention_dropout
    look = partial(attention, c.width, c.heads, c.kv_heads, bias=bias, dropout=attention_dropout)
    layers = [
        Block(
            attn=Residual(look(relative=scheme.relative(c.heads, head_width)), pre=norm(), drop=c.dropout),
            mlp=Residual(MLP(c.width, hidden, act=c.act, bias=c.bias), pre=norm(), drop=c.dropout),
        )
        for _ in range(c.depth)
    ]
    stack = Stack(layers, fields={"self": Field(scheme.field(c.heads, head_width), Causal())}, norm=norm())
    embed = Embed(c.vocab, c.width, position=scheme.stem(c.width, c.context), dropout=c.dropout)
    return Decoder(embed, stack, head=LMHead(c.width, c.vocab, tied=c.tied))


def start(module: nn.Module, c: GPT2) -> None:
    initialise.normal(module, std=0.02, depth=c.depth)


PUBLISHED = Published(
    model_type="gpt2",
    classes={"GPT2LMHeadModel": ("lm",), "GPT2Model": ("lm",)},
    keys=(
        Key("vocab_size", "vocab", 50257),
        Key("n_positions", "context", 1024, also=("max_position_embeddings",)),
        Key("n_embd", "width", 768, also=("hidden_size",)),
        Key("n_layer", "depth", 12, also=("num_hidden_layers",)),
        Key("n_head", "heads", 12, also=("num_attention_heads",)),
        Key("n_inner", "hidden", None),
        Key("activation_function", "act", "gelu_new", words=ACTIVATIONS),
        Key("layer_norm_epsilon", "eps", 1e-5),
        Key("resid_pdrop", "dropout", 0.1),
        Key("embd_pdrop", "dropout", 0.1, training=True),
        Key("attn_pdrop", "attention_dropout", 0.1, follows="dropout"),
        Key("tie_word_embeddings", "tied", True),
    ),
    only={"scale_attn_weights": (True,), "scale_attn_by_inverse_layer_idx": (False,)},
    inert=frozenset(
        {
            "n_ctx",  # an older name of n_positions, which the reference does not read
            "n_special",  # of the first GPT, in files of gpt2-medium, -large and -xl; nothing reads them
            "predict_special_tokens",
            "output_past",
            "reorder_and_upcast_attn",  # a matter of half precision
            "summary_type",  # of a head that is not read
            "summary_use_proj",
            "summary_activation",
            "summary_proj_to_labels",
            "summary_first_dropout",
        }
    ),
    prefix="transformer.",
    bare=frozenset({"GPT2Model"}),
    ties=(Tie("lm_head.weight", "transformer.wte.weight", "tied"),),
    ignored=("transformer.h.*.attn.bias", "transformer.h.*.attn.masked_bias"),  # causal masks
)

FAMILIES.register(
    "gpt2",
    Family(
        name="gpt2",
        config=GPT2,
        build=build,
        initialise=start,
        sizes={
            "debug": dict(vocab=131, context=64, width=48, depth=2, heads=4),
            "small": dict(vocab=4096, context=256, width=384, depth=6, heads=6),
            "base": dict(),
        },
        weights=(
            ("embed.weight", "transformer.wte.weight", ""),
            ("embed.position.weight", "transformer.wpe.weight", ""),
            ("stack.layers.*.attn.pre", "transformer.h.*.ln_1", ""),
            ("stack.layers.*.attn.branch.{q,k,v}", "transformer.h.*.attn.c_attn", "transpose, join"),
            ("stack.layers.*.attn.branch.out", "transformer.h.*.attn.c_proj", "transpose"),
            ("stack.layers.*.mlp.pre", "transformer.h.*.ln_2", ""),
            ("stack.layers.*.mlp.branch.up", "transformer.h.*.mlp.c_fc", "transpose"),
            ("stack.layers.*.mlp.branch.down", "transformer.h.*.mlp.c_proj", "transpose"),
            ("stack.norm", "transformer.ln_f", ""),
            ("head.weight", "lm_head.weight", "optional"),
        ),
        published=PUBLISHED,
        summary="decoder, pre-LN, learned positions, tied head",
    ),
)
