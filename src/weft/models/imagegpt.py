"""Image GPT (Chen et al. 2020): GPT-2 over an image's pixels, each the nearest of a few hundred colours, row by row.

It reads ids, which a processor makes of pixels: 0 .. vocab - 2 are colours, and vocab - 1 begins an image. That one is
read and never written, so that the head has one score fewer than there are ids. Norms do not centre. A head for an
image's class, of the mean of all states, is not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from weft.models.family import FAMILIES, Family
from weft.models.published import ACTIVATIONS, Key, Published
from weft.nn import (
    MLP,
    Attention,
    Block,
    Causal,
    Decoder,
    Embed,
    Field,
    LearnedScheme,
    LMHead,
    Residual,
    RMSNorm,
    Stack,
)
from weft.nn.initialise import normal
from weft.nn.scheme import Scheme


@dataclass(frozen=True)
class ImageGPT:
    vocab: int = 513  # colours, and what begins an image
    context: int = 1024  # pixels of an image
    width: int = 512
    depth: int = 24
    heads: int = 8
    hidden: int | None = None  # None: 4 · width
    act: str = "quick_gelu"
    eps: float = 1e-5
    dropout: float = 0.0
    attention_dropout: float | None = None  # of the attention weights; None: dropout


def build(c: ImageGPT, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    if c.vocab < 2:
        raise ValueError(f"vocab = {c.vocab}: one id begins an image, and there must be a colour beside it")
    scheme, head_width, norm = position or LearnedScheme(), c.width // c.heads, partial(RMSNorm, c.width, eps=c.eps)
    rate = c.dropout if c.attention_dropout is None else c.attention_dropout
    attn, relative = partial(attention, c.width, c.heads, dropout=rate), partial(scheme.relative, c.heads, head_width)
    mlp = partial(MLP, c.width, c.hidden or 4 * c.width, act=c.act)
    residual = partial(Residual, drop=c.dropout)
    layers = [
        Block(attn=residual(attn(relative=relative()), pre=norm()), mlp=residual(mlp(), pre=norm()))
        for _ in range(c.depth)
    ]
    stack = Stack(layers, fields={"self": Field(scheme.field(c.heads, head_width), Causal())}, norm=norm())
    embed = Embed(c.vocab, c.width, position=scheme.stem(c.width, c.context), dropout=c.dropout)
    return Decoder(embed, stack, head=LMHead(c.width, c.vocab - 1))


# fmt: off
LAYERS = "stack.layers.*", "transformer.h.*"
FAMILIES.register("imagegpt", Family(
    name="imagegpt", config=ImageGPT, build=build, reads="signals", modality="pixels",
    initialise=lambda module, c: normal(module, std=0.02, depth=c.depth),
    sizes={
        "debug": dict(vocab=9, context=16, width=48, depth=2, heads=4),
        "small": dict(vocab=17, context=198, width=192, depth=6, heads=6),
        "base": dict(), "medium": dict(width=1024, depth=36), "large": dict(width=1536, depth=48, heads=16),
    },
    weights=(
        ("embed.weight", "transformer.wte.weight", ""), ("embed.position.weight", "transformer.wpe.weight", ""),
        (f"{LAYERS[0]}.{{attn,mlp}}.pre", f"{LAYERS[1]}.{{ln_1,ln_2}}", ""),
        (f"{LAYERS[0]}.attn.branch.{{q,k,v}}", f"{LAYERS[1]}.attn.c_attn", "transpose, join"),
        (f"{LAYERS[0]}.attn.branch.out", f"{LAYERS[1]}.attn.c_proj", "transpose"),
        (f"{LAYERS[0]}.mlp.branch.{{up,down}}", f"{LAYERS[1]}.mlp.{{c_fc,c_proj}}", "transpose"),
        ("stack.norm", "transformer.ln_f", ""), ("head.weight", "lm_head.weight", ""),
    ),
    published=Published(
        "imagegpt", {"ImageGPTForCausalImageModeling": ("lm",)}, (
            Key("vocab_size", "vocab", 513), Key("n_positions", "context", 1024, also=("max_position_embeddings",)),
            Key("n_embd", "width", 512, also=("hidden_size",)), Key("n_inner", "hidden", None),
            Key("n_layer", "depth", 24, also=("num_hidden_layers",)),
            Key("n_head", "heads", 8, also=("num_attention_heads",)),
            Key("activation_function", "act", "quick_gelu", words=ACTIVATIONS), Key("layer_norm_epsilon", "eps", 1e-5),
            Key("resid_pdrop", "dropout", 0.1), Key("embd_pdrop", "dropout", 0.1, training=True),
            Key("attn_pdrop", "attention_dropout", 0.1, follows="dropout"),
        ),
        prefix="transformer.", inert=frozenset({"reorder_and_upcast_attn"}),  # of half precision
        only={
            "scale_attn_weights": (True,), "scale_attn_by_inverse_layer_idx": (False,), "tie_word_embeddings": (False,),
        },
        ignored=("transformer.h.*.attn.bias", "transformer.h.*.attn.masked_bias"),  # causal masks
    ),
    summary="decoder of an image's pixels as colours, pre-RMS, learned positions, a head without the id that begins",
))
