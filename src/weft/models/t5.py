"""T5 (Raffel et al. 2020): a pre-LN encoder–decoder whose scores learn from distance alone; 1.0 and 1.1, one family.

1.0 has a relu feed-forward and a tied head that reads x / √D; 1.1 a gated feed-forward and a head of its own that reads
x. Each stack has one table of distances for all of its layers, cross-attention none. Nothing has a bias, norms are not
centred, and scores are not divided by √K: the initialisation of the queries is. Trained on rows of 512, it places rows
of any length: `context` says how long a row generation and data make.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import nn

from weft.models.family import FAMILIES, Family
from weft.models.gated import gated
from weft.models.published import Key, Published, Tie
from weft.nn import (
    GLU,
    MLP,
    Attention,
    Block,
    Branch,
    Causal,
    CrossAttention,
    Embed,
    EncoderDecoder,
    Field,
    Full,
    LMHead,
    Position,
    Residual,
    RMSNorm,
    Scheme,
    Stack,
    T5Bias,
    T5Scheme,
    initialise,
)


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


def build(c: T5, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> EncoderDecoder:
    scheme = position or T5Scheme(c.buckets, c.distance)
    norm, relative = partial(RMSNorm, c.width, eps=c.eps), partial(scheme.relative, c.heads, c.head_width)
    attention_dropout = c.dropout if c.attention_dropout is None else c.attention_dropout
    sizes = (c.width, c.heads, None, c.head_width)
    look = partial(attention, *sizes, bias="", scale=1.0, dropout=attention_dropout)
    cross = partial(CrossAttention, *sizes, field="memory", bias="", scale=1.0, dropout=attention_dropout)
    mlp = partial(GLU if c.gated else MLP, c.width, c.hidden, act=c.act, bias=False, dropout=c.dropout)

    def inside(branch: Branch) -> Residual:
        return Residual(branch, pre=norm(), drop=c.dropout)

    def embed(own: bool) -> Embed:
        return Embed(c.vocab, c.width, position=scheme.stem(c.width, c.context), dropout=c.dropout, own=own)

    full = Field(scheme.field(c.heads, c.head_width, bidirectional=True), Full())
    causal = Field(scheme.field(c.heads, c.head_width), Causal())
    memory = Field(Position(), Full(), keys="memory")
    stack = partial(Stack, dropout=c.dropout)
    encoder = [
        Block(attn=inside(look(relative=relative(bidirectional=True))), mlp=inside(mlp()))
        for _ in range(c.encoder_depth)
    ]
    decoder = [
        Block(attn=inside(look(relative=relative())), cross=inside(cross()), mlp=inside(mlp()))
        for _ in range(c.decoder_depth or c.encoder_depth)
    ]
    return EncoderDecoder(
        embed(True),
        stack(encoder, fields={"self": full}, norm=norm()),
        embed(False),
        stack(decoder, fields={"self": causal, "memory": memory}, norm=norm()),
        head=LMHead(c.width, c.vocab, tied=c.tied, scale=c.width**-0.5 if c.scaled else 1.0),
    )


def start(module: nn.Module, c: T5) -> None:
    """As the authors' code: every score begins at a scale of 1, √K being taken out of the queries."""
    initialise.fan_in(module)
    for part in module.modules():
        if isinstance(part, Attention):
            nn.init.normal_(part.q.weight, std=(c.width * c.head_width) ** -0.5)
        elif isinstance(part, T5Bias):
            nn.init.normal_(part.weight, std=c.width**-0.5)


# fmt: off
PUBLISHED = Published(
    model_type="t5",
    classes={"T5ForConditionalGeneration": ("lm",), "T5Model": ("lm",)},  # the reference, too, ties T5Model's to a head
    keys=(
        Key("vocab_size", "vocab", 32128), Key("n_positions", "context", 512),  # the reference reads it no more
        Key("d_model", "width", 512, also=("hidden_size",)), Key("d_ff", "hidden", 2048),
        Key("num_layers", "encoder_depth", 6, also=("num_hidden_layers",)),
        Key("num_decoder_layers", "decoder_depth", None),
        Key("num_heads", "heads", 8, also=("num_attention_heads",)), Key("d_kv", "head_width", 64, also=("head_dim",)),
        Key("layer_norm_epsilon", "eps", 1e-6), Key("relative_attention_num_buckets", "buckets", 32),
        Key("relative_attention_max_distance", "distance", 128), Key("dropout_rate", "dropout", 0.1),
    ),
    training=("attention_dropout",),  # the reference knows one rate
    only={"is_encoder_decoder": (True,)}, inert=frozenset({"output_past"}),
    seam=gated("T5ForConditionalGeneration", "T5Model"),
    ties=(
        Tie("encoder.embed_tokens.weight", "shared.weight"), Tie("decoder.embed_tokens.weight", "shared.weight"),
        Tie("lm_head.weight", "shared.weight", "tied"),
    ),
    ignored=("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",),  # no use was ever made of it
)
STACKS = "{encoder,decoder}"  # what they have both
FAMILIES.register("t5", Family(
    name="t5", config=T5, build=build, initialise=start,
    sizes={
        "debug": dict(vocab=131, context=64, width=48, encoder_depth=2, heads=4, head_width=16, hidden=96),
        "small": dict(vocab=4096, context=128, width=256, encoder_depth=3, heads=4, hidden=1024),
        "base": dict(width=768, encoder_depth=12, heads=12, hidden=3072),
    },
    objective="translate", published=PUBLISHED,
    weights=(
        ("embed.weight", "shared.weight", ""),
        (f"{STACKS}.fields.self.position", f"{STACKS}.block.0.layer.0.SelfAttention.relative_attention_bias", ""),
        ("encoder.layers.*.{attn,mlp}.pre", "encoder.block.*.layer.{0,1}.layer_norm", ""),
        ("encoder.layers.*.attn.branch.{q,k,v,out}", "encoder.block.*.layer.0.SelfAttention.{q,k,v,o}", ""),
        ("encoder.layers.*.mlp.branch.{gate,up}", "encoder.block.*.layer.1.DenseReluDense.{wi_0,wi_1}", "optional"),
        ("encoder.layers.*.mlp.branch.up", "encoder.block.*.layer.1.DenseReluDense.wi", "optional"),
        ("encoder.layers.*.mlp.branch.down", "encoder.block.*.layer.1.DenseReluDense.wo", ""),
        ("decoder.layers.*.{attn,cross,mlp}.pre", "decoder.block.*.layer.{0,1,2}.layer_norm", ""),
        ("decoder.layers.*.attn.branch.{q,k,v,out}", "decoder.block.*.layer.0.SelfAttention.{q,k,v,o}", ""),
        ("decoder.layers.*.cross.branch.{q,k,v,out}", "decoder.block.*.layer.1.EncDecAttention.{q,k,v,o}", ""),
        ("decoder.layers.*.mlp.branch.{gate,up}", "decoder.block.*.layer.2.DenseReluDense.{wi_0,wi_1}", "optional"),
        ("decoder.layers.*.mlp.branch.up", "decoder.block.*.layer.2.DenseReluDense.wi", "optional"),
        ("decoder.layers.*.mlp.branch.down", "decoder.block.*.layer.2.DenseReluDense.wo", ""),
        (f"{STACKS}.norm", f"{STACKS}.final_layer_norm", ""),
        ("head.weight", "lm_head.weight", "optional"),
    ),
    summary="encoder–decoder, RMSNorm, scores by distance; 1.0 and 1.1",
))
