"""What LLaMA's kin have in common: fields, names in published folders, and how a decoder is put together.

A family of them says what a layer's branches are, and for each receptive field how it places and whom it sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import nn

from weft.models import family
from weft.models.published import ACTIVATIONS, Key, Published, Read, Seam, Table, Tie
from weft.nn import GLU, Attention, Block, Branch, Decoder, Embed, Field, LMHead, Residual, RMSNorm, Scheme, Stack
from weft.nn.mask import Causal, Mask, Window
from weft.nn.relative import Relative


@dataclass(frozen=True)
class Kin:
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

    @property
    def per_head(self) -> int:
        return self.head_width or self.width // self.heads


# fmt: off
def attention_maker(
    c: Kin, attention: Callable[..., Attention], q_norm: Callable[[], nn.Module] = nn.Identity,
    k_norm: Callable[[], nn.Module] | None = None,
) -> Callable[[str, Relative | None], Attention]:
    """What makes a layer's attention, of a config's sizes, for a field and what the scheme has in each layer.

    attention: with whatever else there is to say of it; q_norm, k_norm: new norms, the second one like the first.
    """

    def make(field: str, relative: Relative | None) -> Attention:
        dropout = c.dropout if c.attention_dropout is None else c.attention_dropout
        norms = dict(q_norm=q_norm(), k_norm=(k_norm or q_norm)())
        sizes = (c.width, c.heads, c.kv_heads, c.head_width)
        return attention(*sizes, field=field, relative=relative, dropout=dropout, **norms)

    return make


def gated(c: Kin) -> Callable[[], GLU]:
    """What makes a layer's gated feed-forward, without biases."""
    return partial(GLU, c.width, c.hidden, act=c.act)


def pre_norm(c: Kin, attn: Branch, mlp: Branch) -> Block:
    """A layer with an RMSNorm before each branch."""
    norm = partial(RMSNorm, c.width, eps=c.eps)
    return Block(attn=Residual(attn, pre=norm(), drop=c.dropout), mlp=Residual(mlp, pre=norm(), drop=c.dropout))


Fields = Mapping[str, tuple[Scheme, Mask]]  # of each field, how it places and whom it sees


def causal(window: int | None) -> Mask:
    """Who sees what came before: all of it, or the last `window` places."""
    return Causal() if window is None else Window(window)


def near_and_far(window: int | None, scheme: Scheme, near: Scheme | None = None) -> Fields:
    """The field "self", and, where there is a window, "local", which may be placed by another scheme."""
    return {"self": (scheme, Causal())} | ({} if window is None else {"local": (near or scheme, Window(window))})


def decoder(
    c: Kin, attn: Callable[[str, Relative | None], Branch], mlp: Callable[[], Branch], fields: Fields,
    pattern: Sequence[str] = ("self",), *, layer: Callable[[Any, Branch, Branch], Block] = pre_norm,
    norm: nn.Module | None = None, scale: float | nn.Module = 1.0, dropout: float = 0.0, softcap: float | None = None,
) -> Decoder:
    """attn, mlp, layer: make branches, and a layer of both. pattern: the field that each layer looks through, over and
    over. norm: the last one; scale, dropout: of the embeddings; softcap: of the head's scores. ValueError for a pattern
    that names no field."""
    names = layer_fields(pattern, c.depth)
    if missing := set(names) - set(fields):
        raise ValueError(f"pattern names {missing.pop()!r}; there are {', '.join(fields)} (local needs a window)")
    schemes = {name: scheme for name, (scheme, _) in fields.items() if name in names}  # no table that nobody reads
    layers = [layer(c, attn(name, schemes[name].relative(c.heads, c.per_head)), mlp()) for name in names]
    built = {name: Field(scheme.field(c.heads, c.per_head), fields[name][1]) for name, scheme in schemes.items()}
    stack = Stack(layers, fields=built, norm=norm or RMSNorm(c.width, eps=c.eps))
    stem = schemes[names[0]].stem(c.width, c.context)
    embed = Embed(c.vocab, c.width, position=stem, scale=scale, dropout=dropout)
    return Decoder(embed, stack, head=LMHead(c.width, c.vocab, tied=c.tied, softcap=softcap))


DEBUG: dict[str, Any] = family.DEBUG | dict(kv_heads=2, hidden=96)
SMALL: dict[str, Any] = family.SMALL | dict(hidden=1024)
_KEYS = (
    Key("vocab_size", "vocab", 32000), Key("max_position_embeddings", "context", 2048),
    Key("hidden_size", "width", 4096), Key("num_hidden_layers", "depth", 32), Key("num_attention_heads", "heads", 32),
    Key("num_key_value_heads", "kv_heads", None, follows="heads"), Key("head_dim", "head_width", None),
    Key("intermediate_size", "hidden", 11008), Key("hidden_act", "act", "silu", words=ACTIVATIONS),
    Key("rms_norm_eps", "eps", 1e-6), Key("attention_dropout", "attention_dropout", 0.0, follows="dropout"),
    Key("tie_word_embeddings", "tied", False),
)
BIAS = Key("attention_bias", "attention_bias", False)  # of those that have it
PRE = ("stack.layers.*.{attn,mlp}.pre", "model.layers.*.{input_layernorm,post_attention_layernorm}", "")
PROJECTIONS = ("stack.layers.*.attn.branch.{q,k,v,out}", "model.layers.*.self_attn.{q,k,v,o}_proj", "")
QK_NORMS = ("stack.layers.*.attn.branch.{q_norm,k_norm}", "model.layers.*.self_attn.{q_norm,k_norm}", "")
GATED = ("stack.layers.*.mlp.branch.{gate,up,down}", "model.layers.*.mlp.{gate,up,down}_proj", "")


def table(*rows: tuple[str, str, str]) -> Table:
    """The tensors of a decoder whose layers have these."""
    first, last = ("embed.weight", "model.embed_tokens.weight", ""), ("stack.norm", "model.norm", "")
    return (first, *rows, last, ("head.weight", "lm_head.weight", "optional"))


def published(
    model_type: str, whole: str, bare: str, seam: Seam, *more: Key, defaults: Mapping[str, Any],
    only: Mapping[str, Any] | None = None, inert: Sequence[str] = (), training: tuple[str, ...] = ("dropout",),
    untaught: Sequence[str] = (),
) -> Published:
    """How one of them stands in published folders. whole, bare: the reference's classes, with a head and without; more:
    further fields, in place of LLaMA's for the same of ours; defaults: what missing ones of LLaMA's mean, by our names.
    """
    replaced = {key.ours for key in more}
    keys = [replace(key, default=defaults.get(key.ours, key.default)) for key in _KEYS if key.ours not in replaced]
    return Published(
        model_type, {whole: ("lm",), bare: ("lm",)}, (*keys, *more), only=only or {}, prefix="model.",
        bare=frozenset({bare}), inert=frozenset(inert), training=training, untaught=frozenset(untaught), seam=seam,
        ties=(Tie("lm_head.weight", "model.embed_tokens.weight", "tied"),),
        ignored=("model.layers.*.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"),
    )
# fmt: on


_FIELDS = {"full_attention": "self", "sliding_attention": "local"}
_WORDS = {"pattern": "layer_types", **{ours: theirs for theirs, ours in _FIELDS.items()}}


def layers(older: Callable[[Mapping[str, Any]], Sequence[str]], *names: str) -> Seam:
    """The seam of a family with a field `pattern`: the fields that its layers look through, over and over.

    older: what a file without `layer_types` means; names: of the fields it reads and nobody else does.
    """
    return Seam(("layer_types", *names), ("pattern",), partial(_read, older, names), _write, _WORDS)


def layer_fields(pattern: Sequence[str], depth: int) -> list[str]:
    """The field of each layer. ValueError for a pattern of nothing."""
    if not pattern:
        raise ValueError("the pattern is empty: name the field that each layer looks through, self or local")
    return [pattern[layer % len(pattern)] for layer in range(depth)]


def _read(older: Callable[[Mapping[str, Any]], Sequence[str]], then: Sequence[str], theirs: Mapping[str, Any]) -> Read:
    """The shortest pattern that gives every layer its field."""
    given, depth = theirs.get("layer_types"), theirs.get("num_hidden_layers")
    if given is None:
        names = list(older(theirs))
    elif not isinstance(given, list) or not given or any(kind not in _FIELDS for kind in given):
        raise ValueError(f"layer_types is {given!r}; it is a list of {' and '.join(_FIELDS)}, one a layer")
    elif len(given) != (depth or len(given)):
        raise ValueError(f"layer_types has {len(given)} entries and num_hidden_layers is {depth}: make them agree")
    else:
        names = [_FIELDS[kind] for kind in given]
        said = {name: theirs[name] for name in then if name in theirs}
        if said and layer_fields(older(theirs), len(names)) != names:
            raise ValueError(f"{said} and layer_types {given} differ: the file contradicts itself")
    periods = range(1, len(names) + 1)
    return Read({"pattern": next(names[:n] for n in periods if layer_fields(names[:n], len(names)) == names)})


def _write(c: Any, position: Scheme | None) -> dict[str, Any]:
    return {"layer_types": [_WORDS[name] for name in layer_fields(c.pattern, c.depth)]}
