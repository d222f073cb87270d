"""GPT 1 to 3 (Radford et al. 2018, 2019; Brown et al. 2020): decoders with trained positions and a tied head.

GPT-1 is post-LN, without a norm at the end; its "gelu" is the tanh form. GPT-3 is GPT-2 with every second layer looking
through a band (§2.1, after Child et al. 2019), of a width that the paper does not say: 256 is GPT-Neo's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

from weft.models.family import DEBUG, FAMILIES, SMALL, Family, draw
from weft.models.published import ACTIVATIONS, Key, Published, Table, Tie
from weft.nn import MLP, Attention, Block, Branch, Causal, Decoder, Embed, Field, LayerNorm, LMHead, Residual, Stack
from weft.nn.initialise import normal
from weft.nn.mask import Mask, Window
from weft.nn.scheme import LearnedScheme, Scheme


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


@dataclass(frozen=True)
class GPT1(GPT2):
    vocab: int = 40478
    context: int = 512


@dataclass(frozen=True)
class GPT3(GPT2):
    context: int = 2048
    window: int = 256  # places that the second, fourth, … layer sees, a token's own among them


def build(c: GPT2, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    norm = partial(LayerNorm, c.width, eps=c.eps, bias=c.bias)
    return decoder(c, lambda branch: Residual(branch, pre=norm(), drop=c.dropout), norm(), {}, position, attention)


def build_post(c: GPT1, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    norm = partial(LayerNorm, c.width, eps=c.eps, bias=c.bias)
    return decoder(c, lambda branch: Residual(branch, after=norm(), drop=c.dropout), None, {}, position, attention)


def build_banded(c: GPT3, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    norm, band = partial(LayerNorm, c.width, eps=c.eps, bias=c.bias), {"local": Window(c.window)}
    return decoder(c, lambda branch: Residual(branch, pre=norm(), drop=c.dropout), norm(), band, position, attention)


# fmt: off
def decoder(
    c: GPT2, residual: Callable[[Branch], Residual], norm: LayerNorm | None, more: Mapping[str, Mask],
    position: Scheme | None, attention: type[Attention],
) -> Decoder:
    """norm: at the end. Layers look in turn at all that came before and through `more`."""
    scheme, head_width, masks = position or LearnedScheme(), c.width // c.heads, {"self": Causal(), **more}
    attention_dropout = c.dropout if c.attention_dropout is None else c.attention_dropout
    attn = partial(attention, c.width, c.heads, c.kv_heads, bias="qkvo" if c.bias else "", dropout=attention_dropout)
    mlp, relative = partial(MLP, c.width, act=c.act, bias=c.bias), partial(scheme.relative, c.heads, head_width)
    layers = [
        Block(attn=residual(attn(field=field, relative=relative())), mlp=residual(mlp(c.hidden or 4 * c.width)))
        for field in islice(cycle(masks), c.depth)
    ]
    fields = {name: Field(scheme.field(c.heads, head_width), mask) for name, mask in masks.items()}
    embed = Embed(c.vocab, c.width, position=scheme.stem(c.width, c.context), dropout=c.dropout)
    return Decoder(embed, Stack(layers, fields=fields, norm=norm), head=LMHead(c.width, c.vocab, tied=c.tied))


KEYS = (
    Key("n_embd", "width", 768, also=("hidden_size",)), Key("n_layer", "depth", 12, also=("num_hidden_layers",)),
    Key("n_head", "heads", 12, also=("num_attention_heads",)), Key("layer_norm_epsilon", "eps", 1e-5),
    Key("resid_pdrop", "dropout", 0.1), Key("embd_pdrop", "dropout", 0.1, training=True),
    Key("attn_pdrop", "attention_dropout", 0.1, follows="dropout"), Key("tie_word_embeddings", "tied", True),
)
LONGEST = ("max_position_embeddings",)
INERT = frozenset({  # an older name of n_positions, of the first GPT, of half precision, of a head that is not read
    "n_ctx", "n_special", "predict_special_tokens", "output_past", "reorder_and_upcast_attn", "summary_type",
    "summary_use_proj", "summary_activation", "summary_proj_to_labels", "summary_first_dropout",
})


def names(norm: str, tokens: str, positions: str) -> Table:
    """Their names for what GPT-1 and GPT-2 both have, in matrices that are kept [in, out]."""
    return (
        ("embed.weight", f"transformer.{tokens}.weight", ""),
        ("embed.position.weight", f"transformer.{positions}.weight", ""),
        (f"stack.layers.*.{{attn,mlp}}.{norm}", "transformer.h.*.{ln_1,ln_2}", ""),
        ("stack.layers.*.attn.branch.{q,k,v}", "transformer.h.*.attn.c_attn", "transpose, join"),
        ("stack.layers.*.attn.branch.out", "transformer.h.*.attn.c_proj", "transpose"),
        ("stack.layers.*.mlp.branch.{up,down}", "transformer.h.*.mlp.{c_fc,c_proj}", "transpose"),
        ("head.weight", "lm_head.weight", "optional"),
    )


FAMILIES.register("gpt1", Family(
    name="gpt1", config=GPT1, build=build_post, initialise=draw,
    sizes={"debug": DEBUG, "small": SMALL, "base": {}},
    weights=names("after", "tokens_embed", "positions_embed"),
    published=Published(
        model_type="openai-gpt", prefix="transformer.", bare=frozenset({"OpenAIGPTModel"}),
        classes={"OpenAIGPTLMHeadModel": ("lm",), "OpenAIGPTModel": ("lm",)},
        keys=(
            Key("vocab_size", "vocab", 40478), Key("n_positions", "context", 512, also=LONGEST), *KEYS,
            Key("afn", "act", "gelu", words={"gelu": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"}),
        ),
        inert=INERT, ignored=("transformer.h.*.attn.bias", "transformer.position_ids"),
        ties=(Tie("lm_head.weight", "transformer.tokens_embed.weight", "tied"),),
    ),
    summary="decoder, post-LN, learned positions, tied head",
))
FAMILIES.register("gpt2", Family(
    name="gpt2", config=GPT2, build=build, initialise=lambda module, c: normal(module, std=0.02, depth=c.depth),
    sizes={"debug": DEBUG, "small": SMALL, "base": {}},
    weights=(*names("pre", "wte", "wpe"), ("stack.norm", "transformer.ln_f", "")),
    published=Published(
        model_type="gpt2", prefix="transformer.", bare=frozenset({"GPT2Model"}),
        classes={"GPT2LMHeadModel": ("lm",), "GPT2Model": ("lm",)},
        keys=(
            Key("vocab_size", "vocab", 50257), Key("n_positions", "context", 1024, also=LONGEST), *KEYS,
            Key("n_inner", "hidden", None), Key("activation_function", "act", "gelu_new", words=ACTIVATIONS),
        ),
        only={"scale_attn_weights": (True,), "scale_attn_by_inverse_layer_idx": (False,)},
        inert=INERT, ignored=("transformer.h.*.attn.bias", "transformer.h.*.attn.masked_bias"),  # causal masks
        ties=(Tie("lm_head.weight", "transformer.wte.weight", "tied"),),
    ),
    summary="decoder, pre-LN, learned positions, tied head",
))
FAMILIES.register("gpt3", Family(
    name="gpt3", config=GPT3, build=build_banded, initialise=lambda module, c: normal(module, std=0.02, depth=c.depth),
    sizes={"debug": dict(**DEBUG, window=7), "base": {}, "175b": dict(width=12288, depth=96, heads=96)},
    summary="decoder, GPT-2 with every second layer looking through a window",
))
