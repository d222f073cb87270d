"""SigLIP (Zhai et al. 2023): two towers, trained to say of each text and each image whether they belong together.

Both towers see both ways. A text's vector is what a linear layer makes of the state at its last place: the rows that it
was trained on are filled with the end token to their full length, and that is read as if it belonged to the text, so
give rows of 64 without a layout, as the published processor does. Where a layout says that something is padding, the
last place before it is read (the reference reads the padding's own state). An image's vector is made by one more
attention, whose query is trained, and a feed-forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from weft.models import towers
from weft.models.blueprint import Blueprint
from weft.models.family import FAMILIES, Family, draw
from weft.models.pooling import Last, Probe
from weft.models.published import Key, Published, Table
from weft.nn import Attention, Encoder, Full, LayerNorm, Linear, Scheme
from weft.nn.towers import Towers


@dataclass(frozen=True)
class SiglipText(towers.TextTower):
    vocab: int = 32000
    context: int = 64
    act: str = "gelu_tanh"
    eps: float = 1e-6
    project: int | None = None  # the width of the common space; None: width


@dataclass(frozen=True)
class SiglipVision(towers.ImageTower):
    act: str = "gelu_tanh"
    eps: float = 1e-6
    pooler: bool = True  # False: it only encodes


@dataclass(frozen=True)
class Siglip(towers.Pair):
    text: Blueprint = field(default_factory=lambda: Blueprint("siglip_text", SiglipText()))
    image: Blueprint = field(default_factory=lambda: Blueprint("siglip_vision", SiglipVision()))
    width: int | None = None  # of a common space that both are projected into; None: each tower's vectors lie in it
    scale: float = math.log(10)  # the logarithm of what cosines are multiplied by, at the beginning
    bias: float = -10.0  # what is added, at the beginning


def text(c: SiglipText, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    return towers.text(c, Full(), Last(Linear(c.width, c.project or c.width)), position, attention)


def vision(c: SiglipVision, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    pooler = Probe(c.width, c.heads, c.hidden, act=c.act, eps=c.eps) if c.pooler else None
    return towers.image(c, pooler, position, attention, after=LayerNorm(c.width, eps=c.eps))


def build(c: Siglip, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Towers:
    def lift(width: int) -> Linear | None:
        return None if c.width is None else Linear(width, c.width, bias=False)

    return towers.pair(c, position, scale=c.scale, bias=c.bias, lift=lift)


# fmt: off
HEAD = "vision_model.head"


def names(c: SiglipVision) -> Table:
    ours = "pooler.stack.layers.0"
    return towers.image_table(
        c, ("stack.norm", "vision_model.post_layernorm", ""), ("pooler.probe", f"{HEAD}.probe", "row, optional"),
        (f"{ours}.cross.branch.{{q,k,v}}.weight", f"{HEAD}.attention.in_proj_weight", "join, optional"),
        (f"{ours}.cross.branch.{{q,k,v}}.bias", f"{HEAD}.attention.in_proj_bias", "join, optional"),
        (f"{ours}.cross.branch.out", f"{HEAD}.attention.out_proj", "optional"),
        (f"{ours}.mlp.pre", f"{HEAD}.layernorm", "optional"),
        (f"{ours}.mlp.branch.{{up,down}}", f"{HEAD}.mlp.{{fc1,fc2}}", "optional"),
    )


TEXT: dict[str, Any] = dict(vocab=131, context=16, width=48, depth=2, heads=4, hidden=96)
IMAGE: dict[str, Any] = dict(image=12, patch=4, width=48, depth=2, heads=4, hidden=96, channels=1)
TEXT_KEYS = towers.text_keys(SiglipText(), Key("projection_size", "project", None, follows="width"))
IMAGE_KEYS = towers.image_keys(SiglipVision(), Key("vision_use_head", "pooler", True))
FAMILIES.register("siglip_text", Family(
    name="siglip_text", config=SiglipText, build=text, initialise=draw, alone=False, sizes={"debug": TEXT, "base": {}},
    weights=towers.text_table(("pooler.project", "text_model.head", "")),
    published=towers.published("siglip", "Siglip", "text", TEXT_KEYS),
    summary="SigLIP's tower of texts: pre-LN, read at the last place",
))
FAMILIES.register("siglip_vision", Family(
    name="siglip_vision", config=SiglipVision, build=vision, initialise=draw, alone=False,
    reads="signals", modality="pictures", packs=False,
    sizes={"debug": IMAGE, "base": {}}, weights=names,
    published=towers.published("siglip", "Siglip", "vision", IMAGE_KEYS),
    summary="SigLIP's tower of images: pre-LN, no class token, read by a trained query",
))
FAMILIES.register("siglip", Family(
    name="siglip", config=Siglip, build=build, initialise=towers.start, objective="sigmoid_pairs",
    reads="both", modality="captions", packs=False, swaps=(),
    sizes={
        "debug": dict(text=Blueprint("siglip_text", SiglipText(**TEXT)),
                      image=Blueprint("siglip_vision", SiglipVision(**IMAGE))),
        "base": {},
    },
    weights=(("scale", "logit_scale", ""), ("bias", "logit_bias", "")),
    published=Published("siglip", {"SiglipModel": ()}, (), training=("scale", "bias"), inner=towers.inner("siglip")),
    summary="two towers; of each text and each image alone whether they belong together",
))
