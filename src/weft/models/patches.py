"""Families that read an image in patches: what they share of settings and parts, and of published folders.

A row is an image's patches from left to right and from top to bottom, each with its numbers in the order channel, row,
column, as its processor makes them. Layers are pre-LN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from weft.models.labels import NAMES, classes_of, named
from weft.models.published import ACTIVATIONS, Key, Read, Seam, Table
from weft.models.signals import NoIds
from weft.nn import MLP, Attention, Block, Encoder, Field, Full, Head, LayerNorm, Pooler, Residual
from weft.nn.depth import DropBranch
from weft.nn.scheme import Scheme
from weft.nn.stack import Stack
from weft.nn.vectors import Vectors


@dataclass(frozen=True)
class Picture(NoIds):
    """The settings of what is cut into patches; both sides of an image are equal."""

    image: int = 224  # pixels of a side
    patch: int = 16
    channels: int = 3

    @property
    def context(self) -> int:
        """Patches of an image."""
        return (self.image // self.patch) ** 2


@dataclass(frozen=True)
class Patched(Picture):
    """Those of an encoder of patches. dense: a row's vector is tanh of a linear layer of the first state; of a model
    without heads, which others published."""

    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    act: str = "gelu"
    eps: float = 1e-12
    bias: bool = True  # of queries, keys and values
    dropout: float = 0.0
    attention_dropout: float | None = None  # of the attention weights; None: dropout
    branch_dropout: float = 0.0  # of whole branches in the last layer; none in the first, evenly more in between
    dense: bool = False
    classes: int = 1000
    tasks: tuple[str, ...] = ("classes",)  # a head for each; none: it only encodes


# fmt: off
def encoder(
    c: Patched, scheme: Scheme, attention: type[Attention], heads: Mapping[str, Callable[[], Head]], *, first: int,
    pooler: nn.Module,
) -> Encoder:
    """An encoder with those of the `heads` that c.tasks names. first: vectors before the patches; pooler: what heads
    read, and the row's vector, where it is not `dense`. ValueError for a task without a head."""
    for task in c.tasks:
        if task not in heads:
            raise ValueError(f"tasks = {c.tasks}, but no task is called {task!r}: there are {' and '.join(heads)}")
    if c.dense and c.tasks:
        raise ValueError(f"dense = True, but the heads {c.tasks} read states, not what is made of them: leave one out")
    pooler = Pooler(c.width) if c.dense else pooler
    return Encoder(stem(c, scheme, first), layers(c, scheme, attention), {task: heads[task]() for task in c.tasks},
                   pooler=pooler)


def stem(c: Patched, scheme: Scheme, first: int) -> Vectors:
    """ValueError for an image that is no whole number of patches."""
    if c.image % c.patch:
        raise ValueError(f"image = {c.image} pixels are no whole number of patches of {c.patch}: choose another patch")
    return Vectors(c.channels * c.patch**2, c.width, first=first, dropout=c.dropout,
                   position=scheme.stem(c.width, c.context + first))


def layers(c: Patched, scheme: Scheme, attention: type[Attention]) -> Stack:
    """c.depth pre-LN layers that see all patches, and a norm at the end."""
    head_width, norm = c.width // c.heads, partial(LayerNorm, c.width, eps=c.eps)
    dropout = c.dropout if c.attention_dropout is None else c.attention_dropout
    relative = partial(scheme.relative, c.heads, head_width, bidirectional=True)
    attn = partial(attention, c.width, c.heads, bias="qkvo" if c.bias else "o", dropout=dropout)

    def residual(branch: Any, layer: int) -> Residual:
        return Residual(branch, pre=norm(), drop=c.dropout, post=DropBranch.at(c.branch_dropout, layer, c.depth))

    blocks = [
        Block(attn=residual(attn(relative=relative()), layer), mlp=residual(MLP(c.width, c.hidden, act=c.act), layer))
        for layer in range(c.depth)
    ]
    field = Field(scheme.field(c.heads, head_width, bidirectional=True), Full())
    return Stack(blocks, fields={"self": field}, norm=norm())


def _read(theirs: Mapping[str, Any]) -> Read:
    """How many classes there are; the pooler is as wide as the model."""
    wide = theirs.get("pooler_output_size")
    if wide not in (None, theirs.get("hidden_size", 768)):
        raise ValueError(f"pooler_output_size is {wide!r}; understood is hidden_size, or null")
    return Read({"classes": classes_of(theirs)})


def labels(writes: Callable[[Any], bool] = lambda config: True) -> Seam:
    """Names of classes that nobody named. writes: whether the reference has a model of this config."""
    def write(c: Patched, position: Scheme | None) -> dict[str, Any] | None:
        return None if position is not None or not writes(c) else named(c.classes)

    return Seam((*NAMES, "pooler_output_size"), ("classes",), _read, write)


KEYS = (
    Key("image_size", "image", 224), Key("patch_size", "patch", 16), Key("num_channels", "channels", 3),
    Key("hidden_size", "width", 768), Key("num_hidden_layers", "depth", 12), Key("num_attention_heads", "heads", 12),
    Key("intermediate_size", "hidden", 3072), Key("hidden_act", "act", "gelu", words=ACTIVATIONS),
    Key("layer_norm_eps", "eps", 1e-12), Key("qkv_bias", "bias", True), Key("hidden_dropout_prob", "dropout", 0.0),
    Key("attention_probs_dropout_prob", "attention_dropout", 0.0, follows="dropout"),
)
DEBUG: dict[str, Any] = dict(image=12, patch=4, channels=1, width=48, depth=2, heads=4, hidden=96)
SMALL: dict[str, Any] = dict(image=28, patch=4, channels=1, width=192, depth=6, heads=6, hidden=576)


def table(c: Patched, prefix: str, first: Sequence[str]) -> Table:
    """Names of an encoder's tensors. first: of the vectors before the patches."""
    cut = f"flat {c.channels}:{c.patch}:{c.patch}"
    return (
        *((f"embed.first.{number}", f"{prefix}.embeddings.{name}", "row") for number, name in enumerate(first)),
        ("embed.position.weight", f"{prefix}.embeddings.position_embeddings", "row"),
        ("embed.lift", f"{prefix}.embeddings.patch_embeddings.projection", cut),
        *blocks("stack.layers.*", f"{prefix}.encoder.layer.*"), ("stack.norm", f"{prefix}.layernorm", ""),
        ("pooler.dense", f"{prefix}.pooler.dense", "optional"), ("heads.classes.out", "classifier", "optional"),
    )


def blocks(ours: str, theirs: str, how: str = "") -> Table:
    """Names of layers' tensors."""
    return (
        (f"{ours}.attn.branch.{{q,k,v}}", f"{theirs}.attention.attention.{{query,key,value}}", how),
        (f"{ours}.attn.branch.out", f"{theirs}.attention.output.dense", how),
        (f"{ours}.mlp.branch.{{up,down}}", f"{theirs}.{{intermediate,output}}.dense", how),
        (f"{ours}.{{attn,mlp}}.pre", f"{theirs}.{{layernorm_before,layernorm_after}}", how),
    )
