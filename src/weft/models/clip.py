"""CLIP (Radford et al. 2021): a tower for texts and one for images, trained to tell which text belongs to which image.

The text tower sees what came before, and a text's vector is its state at the end token, as the reference finds it: at
the first place that holds `end`, or, where `end` is None, at the largest id. (A folder that says eos_token_id 2, as
OpenAI's do, means the second.) The image tower is a ViT with a norm before its first layer, and reads the class token's
state through another. Each tower goes by itself, too, bare or with the projection into the common space ("projection"
among its `tasks`); in the whole model that is the model's own. A text without an end token is refused, where the
reference takes its first place.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from torch import nn

from weft.models import towers
from weft.models.blueprint import Blueprint
from weft.models.family import FAMILIES, Family, draw
from weft.models.pooling import End
from weft.models.published import Found, Key, Published, Read, Seam, Table
from weft.nn import Attention, Causal, Encoder, LayerNorm, Linear, Scheme
from weft.nn.towers import Towers
from weft.nn.vectors import First


@dataclass(frozen=True)
class ClipText(towers.TextTower):
    width: int = 512
    heads: int = 8
    hidden: int = 2048
    # the id whose first place is read; None: the largest id of a row
    end: int | None = field(default=49407, metadata={"least": 0})
    project: int = 512  # the width of the common space
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClipVision(towers.ImageTower):
    patch: int = 32
    project: int = 512
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Clip(towers.Pair):
    text: Blueprint = field(default_factory=lambda: Blueprint("clip_text", ClipText()))
    image: Blueprint = field(default_factory=lambda: Blueprint("clip_vision", ClipVision()))
    width: int = 512  # of the common space
    scale: float = 2.6592  # the logarithm of what cosines are multiplied by, at the beginning


def projection(c: ClipText | ClipVision) -> Linear | None:
    """Into the common space, where the tower has one of its own. ValueError for a task that is none."""
    if c.tasks not in ((), ("projection",)):
        raise ValueError(f"tasks = {c.tasks}, but all that a tower can do beside encoding is 'projection'")
    return Linear(c.width, c.project, bias=False) if c.tasks else None


def text(c: ClipText, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    return towers.text(c, Causal(), End(c.end, projection(c)), position, attention)


def vision(c: ClipVision, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    norm, parts = partial(LayerNorm, c.width, eps=c.eps), OrderedDict[str, nn.Module](first=First())
    parts |= {"norm": norm(), "project": projection(c) or nn.Identity()}
    return towers.image(c, nn.Sequential(parts), position, attention, first=1, bias=False, before=norm())


def build(c: Clip, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Towers:
    return towers.pair(c, position, scale=c.scale, lift=lambda width: Linear(width, c.width, bias=False))


# fmt: off
def _read(theirs: Mapping[str, Any]) -> Read:
    end = theirs.get("eos_token_id", 49407)
    if type(end) is not int:
        raise ValueError(f"eos_token_id is {end!r}, but a text is read where one id stands: it must be a number")
    return Read({"end": None if end == 2 else end})


def _write(c: ClipText, position: Scheme | None) -> dict[str, Any] | None:
    """The reference cannot look for the id 2."""
    return None if c.end == 2 or position is not None else {"eos_token_id": 2 if c.end is None else c.end}


def names(c: ClipVision) -> Table:
    return towers.image_table(
        c, ("embed.first.0", "vision_model.embeddings.class_embedding", "alone"),
        ("{embed,pooler}.norm", "vision_model.{pre_layrnorm,post_layernorm}", ""),
        ("pooler.project", "visual_projection", "optional"),
    )


def published(name: str, keys: tuple[Key, ...], projected: str, seam: Seam | None = None) -> Published:
    bare = towers.published("clip", "CLIP", name, (*keys, Key("projection_dim", "project", 512)), seam)
    whole = f"CLIP{name.capitalize()}Model"
    return replace(bare, classes={whole: (), f"{whole}WithProjection": ("projection",)}, heads="tasks",
                   found=(Found(f"{projected}.weight", "tasks", "projection"),))


TEXT: dict[str, Any] = dict(vocab=131, context=16, width=48, depth=2, heads=4, hidden=96, end=130)
IMAGE: dict[str, Any] = dict(image=12, patch=4, width=48, depth=2, heads=4, hidden=96, channels=1)
FAMILIES.register("clip_text", Family(
    name="clip_text", config=ClipText, build=text, initialise=draw, alone=False, sizes={"debug": TEXT, "base": {}},
    weights=towers.text_table(("pooler.project", "text_projection", "optional")),
    published=published("text", towers.text_keys(ClipText()), "text_projection",
                        Seam(("eos_token_id",), ("end",), _read, _write, {"end": "eos_token_id"})),
    summary="CLIP's tower of texts: pre-LN, causal, read at the end token",
))
FAMILIES.register("clip_vision", Family(
    name="clip_vision", config=ClipVision, build=vision, initialise=draw, alone=False,
    reads="signals", modality="pictures", packs=False,
    sizes={"debug": IMAGE, "base": {}}, weights=names,
    published=published("vision", towers.image_keys(ClipVision()), "visual_projection"),
    summary="CLIP's tower of images: pre-LN, a class token, norms before and after",
))
FAMILIES.register("clip", Family(
    name="clip", config=Clip, build=build, initialise=towers.start, objective="contrast_pairs",
    reads="both", modality="captions", packs=False, swaps=(),
    sizes={
        "debug": dict(text=Blueprint("clip_text", ClipText(**TEXT)),
                      image=Blueprint("clip_vision", ClipVision(**IMAGE)), width=40),
        "base": {},
    },
    weights=(("text_lift", "text_projection", ""), ("image_lift", "visual_projection", ""),
             ("scale", "logit_scale", "alone")),
    published=Published("clip", {"CLIPModel": ()}, inner=towers.inner("clip", over=True), keys=(
        Key("projection_dim", "width", 512), Key("logit_scale_init_value", "scale", 2.6592),
    )),
    summary="two towers, of texts and of images, whose vectors are held against each other",
))
