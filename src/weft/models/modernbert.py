"""ModernBERT (Warner et al. 2024): a pre-LN encoder without biases, gated, rotary, local in most of its layers.

`pattern` says, over and over, which layers see the whole row ("G") and which `window` / 2 places each way ("L"); each
kind has a theta of its own. The first layer's attention has no norm: the stem has just taken one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from weft import nn as parts
from weft.models.family import FAMILIES, Family
from weft.models.published import ACTIVATIONS, Found, Key, Published, Read, Seam, Tie
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
    pattern: str = "GLL"
    window: int = 128
    theta: float = 160000.0
    local_theta: float = 10000.0
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
    if not c.pattern or set(c.pattern) - {"G", "L"} or not set(c.tasks) <= {"masked"}:
        raise ValueError(f"pattern = {c.pattern!r} is of the letters G and L; tasks = {c.tasks}: there is masked")
    norm, head_width = partial(parts.LayerNorm, c.width, eps=c.eps, bias=c.norm_bias), c.width // c.heads
    attention_dropout = c.dropout if c.attention_dropout is None else c.attention_dropout
    mlp_dropout = c.dropout if c.mlp_dropout is None else c.mlp_dropout
    kinds = [c.pattern[i % len(c.pattern)] for i in range(c.depth)]
    schemes = {"G": position or RopeScheme(c.theta), "L": position or RopeScheme(c.local_theta)}
    names, masks = {"G": "self", "L": "local"}, {"G": parts.Full(), "L": parts.Window(c.window // 2 + 1, c.window // 2)}

    def layer(number: int, kind: str) -> parts.Block:
        relative = schemes[kind].relative(c.heads, head_width, bidirectional=True)
        bias = "qkvo" if c.attention_bias else ""
        look = attention(
            c.width, c.heads, field=names[kind], relative=relative, bias=bias, dropout=attention_dropout
        )
        mlp = parts.GLU(c.width, c.hidden, act=c.act, bias=c.mlp_bias, dropout=mlp_dropout)
        attn = parts.Residual(look, pre=norm() if number else None, drop=attention_dropout)
        return parts.Block(attn=attn, mlp=parts.Residual(mlp, pre=norm()))

    layers = [layer(*pair) for pair in enumerate(kinds)]
    fields = {
        names[kind]: parts.Field(schemes[kind].field(c.heads, head_width, bidirectional=True), masks[kind])
        for kind in sorted(set(kinds))
    }
    stack = parts.Stack(layers, fields=fields, norm=norm())
    stem = schemes["G"].stem(c.width, c.context)
    embed = parts.Embed(c.vocab, c.width, position=stem, norm=norm(), dropout=c.dropout)
    masked = partial(parts.TokenHead, act=c.head_act, tied=c.tied, bias=c.head_bias, out_bias=c.out_bias)
    return Encoder(embed, stack, {task: masked(c.width, c.vocab, norm=norm()) for task in c.tasks})


TYPES = {"full_attention": "G", "sliding_attention": "L"}
THETAS = {"full_attention": ("global_rope_theta", 160000.0), "sliding_attention": ("local_rope_theta", 10000.0)}


def _pattern(types: list[str], every: int) -> str:
    """The pattern that makes these types of layers: what `every` says where it says them, else the shortest."""
    letters = "".join(TYPES[kind] for kind in types)
    shorter = ("G" + "L" * (every - 1), *(letters[:size] for size in range(1, len(letters) + 1)))
    return next(short for short in shorter if (short * len(letters))[:len(letters)] == letters)


def _read(theirs: Mapping[str, Any]) -> Read:
    """Which layers are local, and the thetas, by types of layers or in the fields of version 4."""
    every, types = theirs.get("global_attn_every_n_layers", 3), theirs.get("layer_types")
    if not 1 <= every <= 10_000:
        raise ValueError(f"global_attn_every_n_layers is {every}: it counts layers, 1 to 10000")
    if types is not None and (set(types) - set(TYPES) or len(types) != theirs.get("num_hidden_layers", 22)):
        raise ValueError(f"layer_types is {types}; understood is, for each layer, one of {', '.join(TYPES)}")
    given, thetas = theirs.get("rope_parameters", {}), list[float]()
    for kind, (old, theta) in THETAS.items():
        own = {"rope_type": "default", "rope_theta": theirs.get(old, theta)} | (given.get(kind) or {})
        thetas.append(own.pop("rope_theta"))
        if own != {"rope_type": "default"} or set(given) - set(THETAS):
            raise ValueError(f"rope_parameters is {given}; understood is a rope_theta for each of {', '.join(THETAS)}")
    return Read({"pattern": _pattern(types or [], every), "theta": thetas[0], "local_theta": thetas[1]})


def _write(c: ModernBert, position: Scheme | None) -> dict[str, Any] | None:
    """None, too, for a pattern that goes beyond the depth."""
    kinds, every = {letter: kind for kind, letter in TYPES.items()}, len(c.pattern)
    types = [kinds[c.pattern[i % every]] for i in range(c.depth)]
    if position is not None or _pattern(types, every) != c.pattern:
        return None
    rope = {kind: {"rope_type": "default", "rope_theta": theta} for kind, theta in zip(TYPES, (c.theta, c.local_theta))}
    return {"global_attn_every_n_layers": every, "layer_types": types, "rope_parameters": rope}


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
    seam=Seam(
        ("layer_types", "global_attn_every_n_layers", "rope_parameters", *(old for old, _ in THETAS.values())),
        ("pattern", "theta", "local_theta"), _read, _write,
    ),
    heads="tasks", prefix="model.", bare=frozenset({"ModernBertModel"}),
    ties=(Tie("decoder.weight", "model.embeddings.tok_embeddings.weight", "tied"),),
    found=(Found("head.dense.weight", "tasks", "masked"),),
)
FAMILIES.register("modernbert", Family(
    name="modernbert", config=ModernBert, build=build, objective="masked", published=PUBLISHED,
    initialise=lambda module, c: parts.initialise.normal(module, depth=c.depth),
    sizes={
        "debug": dict(vocab=131, context=64, width=48, depth=2, heads=4, hidden=96, window=16),
        "small": dict(vocab=4096, context=256, width=384, depth=6, heads=6, hidden=576), "base": dict(),
    },
    weights=(
        ("embed.weight", "model.embeddings.tok_embeddings.weight", ""), ("embed.norm", "model.embeddings.norm", ""),
        ("stack.layers.*.attn.pre", "model.layers.*.attn_norm", "optional"),
        ("stack.layers.*.attn.branch.{q,k,v}", "model.layers.*.attn.Wqkv", "join"),
        ("stack.layers.*.attn.branch.out", "model.layers.*.attn.Wo", ""),
        ("stack.layers.*.mlp.pre", "model.layers.*.mlp_norm", ""),
        ("stack.layers.*.mlp.branch.{gate,up}", "model.layers.*.mlp.Wi", "join"),
        ("stack.layers.*.mlp.branch.down", "model.layers.*.mlp.Wo", ""), ("stack.norm", "model.final_norm", ""),
        ("heads.masked.dense", "head.dense", "optional"), ("heads.masked.norm", "head.norm", "optional"),
        ("heads.masked.out.weight", "decoder.weight", "optional"),
        ("heads.masked.out.bias", "decoder.bias", "optional"),
    ),
    summary="encoder, pre-LN, rotary positions, gated feed-forward, most layers local",
))
