"""ViT (Dosovitskiy et al. 2021): an image cut into patches, each a token, read by an encoder.

`tasks` says which heads there are: "classes", of an image's pooled state. `pool` says what that is: the state of the
class token ("first"; Dosovitskiy), the mean of all patches ("mean"), or a mean that the model weighs ("weighed";
Hassani et al. 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from weft.models.family import FAMILIES, Family, draw
from weft.models.patches import DEBUG, KEYS, SMALL, Patched, encoder, labels, table
from weft.models.published import Found, Published
from weft.nn import Attention, Encoder, LearnedScheme, RowHead
from weft.nn.scheme import Scheme
from weft.nn.vectors import Average, First, Weighed

Pool = Literal["first", "mean", "weighed"]


@dataclass(frozen=True)
class ViT(Patched):
    pool: Pool = "first"


def build(c: ViT, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    pools: Mapping[str, partial[nn.Module]] = {
        "first": partial(First), "mean": partial(Average), "weighed": partial(Weighed, c.width),
    }  # fmt: skip
    heads, first = {"classes": partial(RowHead, c.width, c.classes)}, 1 if c.pool == "first" else 0
    return encoder(c, position or LearnedScheme(), attention, heads, first=first, pooler=pools[c.pool]())


# fmt: off
FAMILIES.register("vit", Family(
    name="vit", config=ViT, build=build, initialise=draw, objective="classes",
    reads="signals", modality="pictures", packs=False,
    sizes={"debug": DEBUG | dict(classes=5), "small": SMALL | dict(classes=10), "base": dict()},
    weights=lambda c: table(c, "vit", ("cls_token",)),
    published=Published(
        "vit", {"ViTForImageClassification": ("classes",), "ViTModel": ()}, KEYS, heads="tasks", prefix="vit.",
        bare=frozenset({"ViTModel"}), only={"pooler_act": ("tanh",)}, training=("branch_dropout",),
        inert=frozenset({"encoder_stride"}),  # of masked images, whose head is not read
        seam=labels(lambda c: c.pool == "first"),
        found=(Found("vit.pooler.dense.weight", "dense"), Found("classifier.weight", "tasks", "classes")),
    ),
    summary="encoder of an image's patches, pre-LN, learned positions, a class token, a head for the image's class",
))
