"""ViT (Dosovitskiy et al. 2021): an image cut into patches, each a token, read by an encoder.

A row is an image's patches from left to right and from top to bottom, each with its numbers in the order channel, row,
column, as its processor makes them. `tasks` says which heads there are: "classes", of an image's pooled state. `pool`
says what that is: the state of the class token ("first"; Dosovitskiy), the mean of all patches ("mean"), or a mean that
the model weighs ("weighed"; Hassani et al. 2021). A bare model that others published may have a pooler of its own
(`pooler`), tanh of a linear layer of the first state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import nn

from weft.models.family import FAMILIES, Family, draw
from weft.models.published import ACTIVATIONS, Found, Key, Published, Read, Seam, Table
from weft.nn import MLP, Attention, Block, Encoder, Field, Full, LayerNorm, LearnedScheme, Pooler, Residual, RowHead
from weft.nn.scheme import Scheme
from weft.nn.stack import Stack
from weft.nn.vectors import Average, First, Vectors, Weighed

Pool = Literal["first", "mean", "weighed"]


@dataclass(frozen=True)
class Picture:
    """The settings of what is cut into patches; both sides of an image are equal."""

    image: int = 224  # pixels of a side
    patch: int = 16
    channels: int = 3

    @property
    def vocab(self) -> int:
        """It reads no ids."""
        return 0

    @property
    def context(self) -> int:
        """Patches of an image."""
        return (self.image // self.patch) ** 2


@dataclass(frozen=True)
class ViT(Picture):
    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    act: str = "gelu"
    eps: float = 1e-12
    bias: bool = True  # of queries, keys and values
    dropout: float = 0.0
    attention_dropout: float | None = None  # of the attention weights; None: dropout
    pool: Pool = "first"
    pooler: bool = False
    classes: int = 1000
    tasks: tuple[str, ...] = ("classes",)


def build(c: ViT, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    scheme, head_width, first = position or LearnedScheme(), c.width // c.heads, 1 if c.pool == "first" else 0
    if c.image % c.patch:
        raise ValueError(f"image = {c.image} pixels are no whole number of patches of {c.patch}: choose another patch")
    pools: Mapping[str, partial[nn.Module]] = {
        "first": partial(First), "mean": partial(Average), "weighed": partial(Weighed, c.width),
    }  # fmt: skip
    norm = partial(LayerNorm, c.width, eps=c.eps)
    dropout = c.dropout if c.attention_dropout is None else c.attention_dropout
    relative = partial(scheme.relative, c.heads, head_width, bidirectional=True)
    attn = partial(attention, c.width, c.heads, bias="qkvo" if c.bias else "o", dropout=dropout)
    blocks = [
        Block(attn=Residual(attn(relative=relative()), pre=norm(), drop=c.dropout),
              mlp=Residual(MLP(c.width, c.hidden, act=c.act), pre=norm(), drop=c.dropout))
        for _ in range(c.depth)
    ]  # fmt: skip
    field = Field(scheme.field(c.heads, head_width, bidirectional=True), Full())
    stem = Vectors(c.channels * c.patch**2, c.width, first=first, dropout=c.dropout,
                   position=scheme.stem(c.width, c.context + first))  # fmt: skip
    if unknown := set(c.tasks) - {"classes"}:
        raise ValueError(f"tasks = {c.tasks}, but no task is called {unknown.pop()!r}: there is classes")
    heads = {task: RowHead(c.width, c.classes) for task in c.tasks}
    pooler = Pooler(c.width) if c.pooler else pools[c.pool]()
    return Encoder(stem, Stack(blocks, fields={"self": field}, norm=norm()), heads, pooler=pooler)


# fmt: off
def _read(theirs: Mapping[str, Any]) -> Read:
    """How many classes there are; the pooler is as wide as the model."""
    labels, wide = theirs.get("id2label"), theirs.get("pooler_output_size")
    if wide not in (None, theirs.get("hidden_size", 768)):
        raise ValueError(f"pooler_output_size is {wide!r}; understood is hidden_size, or null")
    return Read({"classes": len(labels) if isinstance(labels, dict) and labels else theirs.get("num_labels", 2)})


def _write(c: ViT, position: Scheme | None) -> dict[str, Any] | None:
    """Names of classes that nobody named."""
    if c.pool != "first" or position is not None:
        return None
    names = [f"LABEL_{number}" for number in range(c.classes)]
    return {"id2label": {str(number): name for number, name in enumerate(names)},
            "label2id": {name: number for number, name in enumerate(names)}}


def table(c: ViT) -> Table:
    ours, theirs = "stack.layers.*", "vit.encoder.layer.*"
    return (
        ("embed.first.0", "vit.embeddings.cls_token", "row"),
        ("embed.position.weight", "vit.embeddings.position_embeddings", "row"),
        ("embed.lift", "vit.embeddings.patch_embeddings.projection", f"flat {c.channels}:{c.patch}:{c.patch}"),
        (f"{ours}.attn.branch.{{q,k,v}}", f"{theirs}.attention.attention.{{query,key,value}}", ""),
        (f"{ours}.attn.branch.out", f"{theirs}.attention.output.dense", ""),
        (f"{ours}.mlp.branch.{{up,down}}", f"{theirs}.{{intermediate,output}}.dense", ""),
        (f"{ours}.{{attn,mlp}}.pre", f"{theirs}.{{layernorm_before,layernorm_after}}", ""),
        ("stack.norm", "vit.layernorm", ""),
        ("pooler.dense", "vit.pooler.dense", "optional"),
        ("heads.classes.out", "classifier", "optional"),
    )


KEYS = (
    Key("image_size", "image", 224), Key("patch_size", "patch", 16), Key("num_channels", "channels", 3),
    Key("hidden_size", "width", 768), Key("num_hidden_layers", "depth", 12), Key("num_attention_heads", "heads", 12),
    Key("intermediate_size", "hidden", 3072), Key("hidden_act", "act", "gelu", words=ACTIVATIONS),
    Key("layer_norm_eps", "eps", 1e-12), Key("qkv_bias", "bias", True), Key("hidden_dropout_prob", "dropout", 0.0),
    Key("attention_probs_dropout_prob", "attention_dropout", 0.0, follows="dropout"),
)
FAMILIES.register("vit", Family(
    name="vit", config=ViT, build=build, initialise=draw, objective="classes", reads="signals", packs=False,
    sizes={
        "debug": dict(image=12, patch=4, width=48, depth=2, heads=4, hidden=96, classes=5, channels=1),
        "small": dict(image=28, patch=4, width=192, depth=6, heads=6, hidden=576, classes=10, channels=1),
        "base": dict(),
    },
    weights=table,
    published=Published(
        "vit", {"ViTForImageClassification": ("classes",), "ViTModel": ()}, KEYS, heads="tasks", prefix="vit.",
        bare=frozenset({"ViTModel"}), only={"pooler_act": ("tanh",)},
        inert=frozenset({"encoder_stride"}),  # of masked images, whose head is not read
        seam=Seam(("id2label", "label2id", "num_labels", "pooler_output_size"), ("classes",), _read, _write),
        found=(Found("vit.pooler.dense.weight", "pooler"), Found("classifier.weight", "tasks", "classes")),
    ),
    summary="encoder of an image's patches, pre-LN, learned positions, a class token, a head for the image's class",
))
