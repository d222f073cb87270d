"""BERT and its kin: what they share of an encoder's settings, its parts, and how it stands in published folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from weft.models.published import ACTIVATIONS, Found, Key, Published, Seam, Table, Tie, Twin
from weft.nn import MLP, Attention, Block, Embed, Encoder, Field, Full, Head, LayerNorm, Linear, Pooler, Residual
from weft.nn.encoder import TokenHead
from weft.nn.scheme import Scheme
from weft.nn.stack import Stack


@dataclass(frozen=True)
class Bidirectional:
    """The settings that all of them have."""

    vocab: int = 30522
    context: int = 512
    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    inner: int | None = None  # the embeddings' width, which a projection makes the model's; None: it is
    types: int | None = 2  # of tokens; None: they are not told apart
    act: str = "gelu"
    eps: float = 1e-12
    dropout: float = 0.1
    attention_dropout: float | None = None  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    tied: bool = True
    pooler: bool = False  # a vector for each row, from its first place
    tasks: tuple[str, ...] = ("masked",)  # a head for each; none: it only encodes


# fmt: off
def encoder(
    c: Bidirectional, scheme: Scheme, attention: type[Attention], heads: Mapping[str, Callable[[], Head]], *,
    layers: int | None = None, order: Sequence[int] | None = None, drops: tuple[float, float] | None = None,
) -> Encoder:
    """A post-LN encoder that sees both ways, with those of the `heads` that c.tasks names.

    layers, order: how many there are and how they are executed; None: c.depth, one after another. drops: after
    attention and after the feed-forward; None: c.dropout. ValueError for a task without a head.
    """
    inner, head_width, norm = c.inner or c.width, c.width // c.heads, partial(LayerNorm, eps=c.eps)
    relative = partial(scheme.relative, c.heads, head_width, bidirectional=True)
    rate = c.dropout if c.attention_dropout is None else c.attention_dropout
    attn = partial(attention, c.width, c.heads, dropout=rate)
    after_attention, after_mlp = drops or (c.dropout, c.dropout)
    for task in c.tasks:
        if task not in heads:
            raise ValueError(f"tasks = {c.tasks}, but no task is called {task!r}: there are {' and '.join(heads)}")
    blocks = [
        Block(attn=Residual(attn(relative=relative()), after=norm(c.width), drop=after_attention),
              mlp=Residual(MLP(c.width, c.hidden, act=c.act), after=norm(c.width), drop=after_mlp))
        for _ in range(layers or c.depth)
    ]
    field = Field(scheme.field(c.heads, head_width, bidirectional=True), Full())
    embed = Embed(c.vocab, inner, position=scheme.stem(inner, c.context), norm=norm(inner), dropout=c.dropout,
                  types=c.types or 0, lift=Linear(inner, c.width) if c.inner else None)
    chosen = {task: heads[task]() for task in c.tasks}
    pooler = Pooler(c.width) if c.pooler else None
    return Encoder(embed, Stack(blocks, fields={"self": field}, order=order), chosen, pooler=pooler)


def token(c: Bidirectional, act: str | None = None) -> TokenHead:
    """The head for masked tokens, which scores as wide as the embeddings are; act: None, that of the layers."""
    norm = LayerNorm(c.inner or c.width, eps=c.eps)
    return TokenHead(c.width, c.vocab, inner=c.inner, act=act or c.act, norm=norm, tied=c.tied)


DEBUG: dict[str, Any] = dict(vocab=131, context=64, width=48, depth=2, heads=4, hidden=96, dropout=0.0)
SMALL: dict[str, Any] = dict(vocab=4096, context=256, width=384, depth=6, heads=6, hidden=1536, dropout=0.0)


def keys(c: Bidirectional) -> tuple[Key, ...]:
    """Their words for what most of them call alike; a missing field means what it is in c."""
    return (
        Key("vocab_size", "vocab", c.vocab), Key("max_position_embeddings", "context", 512),
        Key("hidden_size", "width", c.width), Key("num_hidden_layers", "depth", c.depth),
        Key("num_attention_heads", "heads", c.heads), Key("intermediate_size", "hidden", c.hidden),
        Key("type_vocab_size", "types", 2), Key("layer_norm_eps", "eps", 1e-12),
        Key("hidden_act", "act", next(word for word, act in ACTIVATIONS.items() if act == c.act), words=ACTIVATIONS),
        Key("hidden_dropout_prob", "dropout", c.dropout), Key("tie_word_embeddings", "tied", True),
        Key("attention_probs_dropout_prob", "attention_dropout", c.dropout, follows="dropout"),
    )


def published(
    model_type: str, classes: Mapping[str, tuple[str, ...]], keys: tuple[Key, ...], *, prefix: str, table: str,
    bias: str = "", found: tuple[Found, ...], inert: frozenset[str] = frozenset(), seam: Seam | None = None,
    ignored: tuple[str, ...] = (),
) -> Published:
    """table, bias: their names of the head's copies, of the embeddings and of the bias beside it ("": it has none)."""
    twins = (Twin(bias, bias.replace(".decoder", ""), "tied"),) if bias else ()
    return Published(
        model_type, classes, keys, inert=inert | {"output_past"},
        only={"position_embedding_type": ("absolute",), "pooler_type": ("first_token_transform",)},
        heads="tasks", seam=seam, prefix=prefix, renamed=((".gamma", ".weight"), (".beta", ".bias")),
        bare=frozenset(name for name, heads in classes.items() if not heads),
        ties=(Tie(table, f"{prefix}embeddings.word_embeddings.weight", "tied"),), twins=twins, found=found,
        ignored=(f"{prefix}embeddings.position_ids", f"{prefix}embeddings.token_type_ids", *ignored),
    )


def stem(prefix: str) -> Table:
    """Names of embeddings."""
    return (
        ("embed.weight", f"{prefix}.embeddings.word_embeddings.weight", ""),
        ("embed.position.weight", f"{prefix}.embeddings.position_embeddings.weight", "optional"),
        ("embed.types.weight", f"{prefix}.embeddings.token_type_embeddings.weight", "optional"),
        ("embed.norm", f"{prefix}.embeddings.LayerNorm", ""),
    )


def body(prefix: str, looks: Table = (("{q,k,v}", "{query,key,value}", ""),)) -> Table:
    """Those, the layers' and the pooler's, as BERT's are called; looks: what makes queries, keys and values."""
    ours, theirs = "stack.layers.*", f"{prefix}.encoder.layer.*"
    return (
        *stem(prefix),
        *((f"{ours}.attn.branch.{own}", f"{theirs}.attention.self.{its}", how) for own, its, how in looks),
        (f"{ours}.attn.branch.out", f"{theirs}.attention.output.dense", ""),
        (f"{ours}.mlp.branch.{{up,down}}", f"{theirs}.{{intermediate,output}}.dense", ""),
        (f"{ours}.{{attn,mlp}}.after", f"{theirs}.{{attention.output,output}}.LayerNorm", ""),
        ("pooler.dense", f"{prefix}.pooler.dense", "optional"),
    )


def masked(dense: str, norm: str, table: str, bias: str) -> Table:
    """Names of the head for masked tokens."""
    return (("heads.masked.dense", dense, "optional"), ("heads.masked.norm", norm, "optional"),
            ("heads.masked.out.weight", table, "optional"), ("heads.masked.out.bias", bias, "optional"))
