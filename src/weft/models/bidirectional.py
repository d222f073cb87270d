"""BERT and its kin: what they share of an encoder's settings, its parts, and how it stands in published folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from weft.models.published import ACTIVATIONS, Key
from weft.models.weights import Table
from weft.nn import (
    MLP,
    Attention,
    Block,
    Embed,
    Encoder,
    Field,
    Full,
    Head,
    LayerNorm,
    Pooler,
    Residual,
    Scheme,
    Stack,
    initialise,
)


@dataclass(frozen=True)
class Bidirectional:
    """The settings that all of them have."""

    vocab: int = 30522
    context: int = 512
    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    act: str = "gelu"
    eps: float = 1e-12
    dropout: float = 0.1
    attention_dropout: float | None = None  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    tied: bool = True
    tasks: tuple[str, ...] = ("masked",)  # a head for each; none: it only encodes


def encoder(
    c: Bidirectional,
    scheme: Scheme,
    attention: type[Attention],
    heads: Mapping[str, Callable[[], Head]],
    *,
    types: int = 0,
    pooler: bool = False,
    inner: int | None = None,
    lift: nn.Module | None = None,
    layers: int | None = None,
    order: Sequence[int] | None = None,
    drops: tuple[float, float] | None = None,
) -> Encoder:
    """A post-LN encoder that sees both ways, with those of the `heads` that c.tasks names.

    inner: the embeddings' width, where it is not the model's and `lift` makes it so. layers, order: how many there are
    and how they are executed; None: c.depth, one after another. drops: after attention and after the feed-forward;
    None: c.dropout. ValueError for a task without a head.
    """
    inner, head_width = inner or c.width, c.width // c.heads
    norm = partial(LayerNorm, eps=c.eps)
    after_attention, after_mlp = drops or (c.dropout, c.dropout)
    rate = c.dropout if c.attention_dropout is None else c.attention_dropout

    def layer() -> Block:
        relative = scheme.relative(c.heads, head_width, bidirectional=True)
        look = attention(c.width, c.heads, relative=relative, dropout=rate)
        return Block(
            attn=Residual(look, after=norm(c.width), drop=after_attention),
            mlp=Residual(MLP(c.width, c.hidden, act=c.act), after=norm(c.width), drop=after_mlp),
        )

    for task in c.tasks:
        if task not in heads:
            raise ValueError(f"tasks = {c.tasks}, but no task is called {task!r}: there are {' and '.join(heads)}")
    field = Field(scheme.field(c.heads, head_width, bidirectional=True), Full())
    stem = scheme.stem(inner, c.context)
    embed = Embed(c.vocab, inner, position=stem, norm=norm(inner), dropout=c.dropout, types=types, lift=lift)
    stack = Stack([layer() for _ in range(layers or c.depth)], fields={"self": field}, order=order)
    chosen = {task: heads[task]() for task in c.tasks}
    return Encoder(embed, stack, chosen, pooler=Pooler(c.width) if pooler else None)


def start(module: nn.Module, c: Any) -> None:
    """N(0, 0.02²); unlike the authors' it is not cut off at two standard deviations."""
    initialise.normal(module, std=0.02)


# fmt: off
DEBUG: dict[str, Any] = dict(vocab=131, context=64, width=48, depth=2, heads=4, hidden=96, dropout=0.0)
SMALL: dict[str, Any] = dict(vocab=4096, context=256, width=384, depth=6, heads=6, hidden=1536, dropout=0.0)


def keys(c: Bidirectional) -> tuple[Key, ...]:
    """Their words for what all but one of them call alike; a missing field means what it is in c."""
    return (
        Key("vocab_size", "vocab", c.vocab), Key("hidden_size", "width", c.width),
        Key("num_hidden_layers", "depth", c.depth), Key("num_attention_heads", "heads", c.heads),
        Key("intermediate_size", "hidden", c.hidden), Key("layer_norm_eps", "eps", c.eps),
        Key("hidden_act", "act", next(word for word, act in ACTIVATIONS.items() if act == c.act), words=ACTIVATIONS),
        Key("hidden_dropout_prob", "dropout", c.dropout), Key("tie_word_embeddings", "tied", True),
        Key("attention_probs_dropout_prob", "attention_dropout", c.dropout, follows="dropout"),
    )


def stem(prefix: str) -> Table:
    """Names of embeddings."""
    return (
        ("embed.weight", f"{prefix}.embeddings.word_embeddings.weight", ""),
        ("embed.position.weight", f"{prefix}.embeddings.position_embeddings.weight", "optional"),
        ("embed.types.weight", f"{prefix}.embeddings.token_type_embeddings.weight", "optional"),
        ("embed.norm", f"{prefix}.embeddings.LayerNorm", ""),
    )


def body(prefix: str) -> Table:
    """Names of embeddings, layers and pooler, as BERT's are."""
    ours, theirs = "stack.layers.*", f"{prefix}.encoder.layer.*"
    return (
        *stem(prefix),
        (f"{ours}.attn.branch.{{q,k,v}}", f"{theirs}.attention.self.{{query,key,value}}", ""),
        (f"{ours}.attn.branch.out", f"{theirs}.attention.output.dense", ""),
        (f"{ours}.attn.after", f"{theirs}.attention.output.LayerNorm", ""),
        (f"{ours}.mlp.branch.up", f"{theirs}.intermediate.dense", ""),
        (f"{ours}.mlp.branch.down", f"{theirs}.output.dense", ""),
        (f"{ours}.mlp.after", f"{theirs}.output.LayerNorm", ""),
        ("pooler.dense", f"{prefix}.pooler.dense", "optional"),
    )


def token_head(dense: str, norm: str, table: str, bias: str) -> Table:
    """Names of the head for masked tokens."""
    return (
        ("heads.masked.dense", dense, "optional"), ("heads.masked.norm", norm, "optional"),
        ("heads.masked.out.weight", table, "optional"), ("heads.masked.out.bias", bias, "optional"),
    )
