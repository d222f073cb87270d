"""ModernBERT (Warner et al. 2024): a pre-LN encoder without biases, gated, rotary, local in most of its layers.

`pattern` says, over and over, which layers see the whole row ("self") and which `window` / 2 places each way ("local");
each kind turns by angles of its own. The first layer's attention has no norm: the stem has just taken one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from weft import nn as parts
from weft.models.bidirectional import DEBUG, SMALL, masked
from weft.models.family import FAMILIES, Family
from weft.models.kin import layer_fields, layers
from weft.models.published import ACTIVATIONS, Found, Key, Published, Tie, together
from weft.models.rotary import rope_by_layer
from weft.nn import Attention, Encoder, RopeScheme, Scheme


# fmt: off
@dataclass(frozen=True)
class ModernBert:
    vocab: int = 50368
    context: int = 8192
    width: int = 768
    depth: int = 22
    heads: int = 12
    hidden: int = 1152
    act: str = "gelu"
    eps: float = 1e-5
    pattern: tuple[str, ...] = ("self", "local", "local")  # the field of each layer, over and over
    window: int = 128
    rope: RopeScheme = field(default_factory=lambda: RopeScheme(160000.0))  # of the field "self"
    local_rope: RopeScheme = field(default_factory=RopeScheme)
    dropout: float = 0.0
    attention_dropout: float | None = None  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    mlp_dropout: float | None = None  # inside the feed-forward; None: dropout
    attention_bias: bool = False
    mlp_bias: bool = False
    norm_bias: bool = False
    head_act: str = "gelu"
    head_bias: bool = False
    out_bias: bool = True
    tied: bool = True
    tasks: tuple[str, ...] = ("masked",)  # a head for each; none: it only encodes


def build(c: ModernBert, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    if set(c.tasks) - {"masked"}:
        raise ValueError(f"tasks = {c.tasks}, but no other task is known than masked")
    norm, head_width = partial(parts.LayerNorm, c.width, eps=c.eps, bias=c.norm_bias), c.width // c.heads
    attention_dropout = c.dropout if c.attention_dropout is None else c.attention_dropout
    mlp_dropout = c.dropout if c.mlp_dropout is None else c.mlp_dropout
    schemes = {"self": position or c.rope, "local": position or c.local_rope}
    masks = {"self": parts.Full(), "local": parts.Window(c.window // 2 + 1, c.window // 2)}
    bias = "qkvo" if c.attention_bias else ""

    def layer(number: int, name: str) -> parts.Block:
        relative = schemes[name].relative(c.heads, head_width, bidirectional=True)
        branch = attention(c.width, c.heads, field=name, relative=relative, bias=bias, dropout=attention_dropout)
        mlp = parts.GLU(c.width, c.hidden, act=c.act, bias=c.mlp_bias, dropout=mlp_dropout)
        attn = parts.Residual(branch, pre=norm() if number else None, drop=attention_dropout)
        return parts.Block(attn=attn, mlp=parts.Residual(mlp, pre=norm()))

    names = layer_fields(c.pattern, c.depth)
    blocks = [layer(*pair) for pair in enumerate(names)]
    place = {name: schemes[name].field(c.heads, head_width, bidirectional=True) for name in sorted(set(names))}
    fields = {name: parts.Field(place[name], masks[name]) for name in place}
    stack = parts.Stack(blocks, fields=fields, norm=norm())
    stem = schemes["self"].stem(c.width, c.context)
    embed = parts.Embed(c.vocab, c.width, position=stem, norm=norm(), dropout=c.dropout)
    head = partial(parts.TokenHead, act=c.head_act, tied=c.tied, bias=c.head_bias, out_bias=c.out_bias)
    return Encoder(embed, stack, {task: head(c.width, c.vocab, norm=norm()) for task in c.tasks})


EVERY = "global_attn_every_n_layers"
ROPES = {"full_attention": ("rope", 160000.0), "sliding_attention": ("local_rope", 10000.0)}
OLDER = {"global_rope_theta": "full_attention", "local_rope_theta": "sliding_attention"}
PUBLISHED = Published(
    model_type="modernbert", classes={"ModernBertForMaskedLM": ("masked",), "ModernBertModel": ()},
    keys=(
        Key("vocab_size", "vocab", 50368), Key("max_position_embeddings", "context", 8192),
        Key("hidden_size", "width", 768), Key("num_hidden_layers", "depth", 22),
        Key("num_attention_heads", "heads", 12), Key("intermediate_size", "hidden", 1152),
        Key("hidden_activation", "act", "gelu", words=ACTIVATIONS), Key("norm_eps", "eps", 1e-5),
        Key("local_attention", "window", 128), Key("embedding_dropout", "dropout", 0.0),
        Key("attention_dropout", "attention_dropout", 0.0, follows="dropout"),
        Key("mlp_dropout", "mlp_dropout", 0.0, follows="dropout"), Key("attention_bias", "attention_bias", False),
        Key("mlp_bias", "mlp_bias", False), Key("norm_bias", "norm_bias", False),
        Key("classifier_activation", "head_act", "gelu", words=ACTIVATIONS),
        Key("classifier_bias", "head_bias", False), Key("decoder_bias", "out_bias", True),
        Key("tie_word_embeddings", "tied", True),
    ),
    inert=frozenset({  # of other heads, of training and of how it is run; the last two are of the authors' files
        "classifier_pooling", "sparse_prediction", "sparse_pred_ignore_index", "initializer_cutoff_factor",
        "deterministic_flash_attn", "reference_compile", "repad_logits_with_grad", "layer_norm_eps",
        "position_embedding_type",
    }),
    seam=together(rope_by_layer(ROPES, 8192, OLDER, tuple(ROPES)), layers(
        lambda theirs: ("self", *("local",) * (theirs.get(EVERY, 3) - 1)), EVERY,
    )),
    heads="tasks", prefix="model.", bare=frozenset({"ModernBertModel"}),
    ties=(Tie("decoder.weight", "model.embeddings.tok_embeddings.weight", "tied"),),
    found=(Found("head.dense.weight", "tasks", "masked"),),
)
FAMILIES.register("modernbert", Family(
    name="modernbert", config=ModernBert, build=build, objective="masked", published=PUBLISHED,
    initialise=lambda module, c: parts.initialise.normal(module, depth=c.depth),
    sizes={
        "debug": DEBUG | dict(window=16, pattern=["self", "local"]), "small": SMALL | dict(hidden=576), "base": dict(),
    },
    weights=(
        ("embed.weight", "model.embeddings.tok_embeddings.weight", ""), ("embed.norm", "model.embeddings.norm", ""),
        ("stack.layers.*.attn.pre", "model.layers.*.attn_norm", "optional"),
        ("stack.layers.*.attn.branch.{q,k,v}", "model.layers.*.attn.Wqkv", "join"),
        ("stack.layers.*.attn.branch.out", "model.layers.*.attn.Wo", ""),
        ("stack.layers.*.mlp.pre", "model.layers.*.mlp_norm", ""),
        ("stack.layers.*.mlp.branch.{gate,up}", "model.layers.*.mlp.Wi", "join"),
        ("stack.layers.*.mlp.branch.down", "model.layers.*.mlp.Wo", ""), ("stack.norm", "model.final_norm", ""),
        *masked("head.dense", "head.norm", "decoder.weight", "decoder.bias"),
    ),
    summary="encoder, pre-LN, rotary positions, gated feed-forward, most layers local",
))
