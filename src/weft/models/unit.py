"""UniT (Hu & Singh 2021): one model for tasks about texts, about images and about both.

Each side is read by an encoder of another family, before whose embeddings stands a vector of the task's (§3.1, §3.2);
one decoder, shared by all tasks, looks at the states of one side or of both, laid one after another, and begins with
the task's queries (§3.3); a head of the task's reads their states (§3.4). Unlike the authors' code the queries are the
decoder's input alone and are not added again in each layer, places are told by the encoders and not again to the
decoder, and an image is read by a ViT, not by a residual network and a transformer on top. A box's attributes (Visual
Genome's) have no head.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

from weft.models.blueprint import Blueprint
from weft.models.family import FAMILIES, Family
from weft.models.signals import Beside
from weft.models.unified import Asking, Task, Unified
from weft.nn import (
    MLP,
    Attention,
    Block,
    CrossAttention,
    Encoder,
    Field,
    Full,
    LayerNorm,
    Linear,
    Position,
    Residual,
    Scheme,
    Stack,
    initialise,
)

TASKS = (
    Task("sentiment", reads="text", words=False),
    Task("answer", classes=3129),
    Task("objects", reads="image", classes=91, queries=100, boxes=True),
)


@dataclass(frozen=True)
class Unit(Beside):
    text: Blueprint = field(default_factory=lambda: Blueprint.of("bert", pooler=False, tasks=[]))
    image: Blueprint = field(default_factory=lambda: Blueprint.of("vit", tasks=[]))
    width: int = 256
    depth: int = 6
    heads: int = 8
    hidden: int = 2048
    act: str = "relu"
    eps: float = 1e-5
    dropout: float = 0.1  # of branches, of attention weights and of what heads read
    tasks: tuple[Task, ...] = TASKS


def build(c: Unit, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Unified:
    """ValueError for a side that is no encoder, and for a position scheme, which is a side's."""
    if position is not None:
        raise ValueError("queries have no places: name the scheme of a side, text.position or image.position")
    text, image = c.text.bare(), c.image.bare()
    if type(text) is not Encoder or type(image) is not Encoder:  # kinds of their own compute otherwise
        raise ValueError(f"text is a {type(text).__name__}, image a {type(image).__name__}: each is an Encoder")
    norm = partial(LayerNorm, c.width, eps=c.eps)

    def layer() -> Block:
        return Block(
            attn=Residual(attention(c.width, c.heads, dropout=c.dropout), after=norm(), drop=c.dropout),
            cross=Residual(CrossAttention(c.width, c.heads, field="memory", dropout=c.dropout), after=norm(),
                           drop=c.dropout),
            mlp=Residual(MLP(c.width, c.hidden, act=c.act, dropout=c.dropout), after=norm(), drop=c.dropout),
        )  # fmt: skip

    fields = {"self": Field(Position(), Full()), "memory": Field(Position(), Full(), keys="memory")}
    widths = {"text": c.text.config.width, "image": c.image.config.width}
    return Unified(
        text, image, {kind: Linear(width, c.width) for kind, width in widths.items()},
        Stack([layer() for _ in range(c.depth)], fields=fields, norm=norm()),
        [Asking(task, c.width, widths, eps=c.eps, dropout=c.dropout) for task in c.tasks],
    )  # fmt: skip


def start(module: nn.Module, c: Unit) -> None:
    """Each side as its own family; the decoder and all projections Xavier uniform, queries N(0, 1), as the authors."""
    assert isinstance(module, Unified)
    for part in (module.lifts, module.decoder, module.tasks):
        initialise.xavier(part)
    for own in module.tasks.children():
        assert isinstance(own, Asking)
        nn.init.normal_(own.queries.weight)
    c.text.draw(module.text)
    c.image.draw(module.image)


# fmt: off
NONE = dict(position=None, attention=None)
DEBUG: dict[str, Any] = dict(
    text=dict(family="bert", parts=NONE, config=dict(
        vocab=131, context=64, width=48, depth=2, heads=4, hidden=96, dropout=0.0, pooler=False, tasks=[])),
    image=dict(family="vit", parts=NONE, config=dict(
        image=12, patch=4, channels=1, width=40, depth=2, heads=4, hidden=80, tasks=[])),
    width=56, depth=2, heads=4, hidden=96, dropout=0.0, tasks=[
        dict(name="sentiment", reads="text", words=False), dict(name="answer", classes=7, queries=2),
        dict(name="objects", reads="image", classes=3, queries=5, boxes=True)],
)
SMALL: dict[str, Any] = dict(
    text=dict(family="bert", parts=NONE, config=dict(
        vocab=4000, context=64, width=128, depth=2, heads=4, hidden=256, dropout=0.2, pooler=False, tasks=[])),
    image=dict(family="cct", parts=NONE, config=dict(
        image=28, width=128, depth=3, heads=4, hidden=256, convolutions=3, inner=32, tasks=[])),
    width=128, depth=2, heads=4, hidden=256,
)
FAMILIES.register("unit", Family(
    name="unit", config=Unit, build=build, initialise=start, objective="tasks",
    reads="both", modality="tasks", packs=False, swaps=(),
    sizes={"debug": DEBUG, "small": SMALL, "base": {}},
    summary="two encoders of other families, and one decoder that tasks ask about texts, images and both",
))
