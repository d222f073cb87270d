"""DeiT (Touvron et al. 2021): ViT with a second token before the patches, from which a teacher's answer is learned.

`taught`: the head "classes" is two linear layers, one for the class token and one for the distillation token, whose
scores are averaged (§4); `Taught.each` gives both, for a loss that asks each for something else. Otherwise it reads the
class token alone, and the other one takes part in the layers only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from weft.models.family import FAMILIES, Family, draw
from weft.models.patches import DEBUG, KEYS, SMALL, Patched, encoder, labels, table
from weft.models.published import Found, Published
from weft.nn import Attention, Encoder, Head, LearnedScheme, Linear, RowHead
from weft.nn.scheme import Scheme
from weft.nn.vectors import First


@dataclass(frozen=True)
class DeiT(Patched):
    taught: bool = False


class Taught(Head):
    """The mean of what two linear layers make of a row's first and second state. x [B, T, D] -> [B, classes]."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.first, self.second = Linear(width, classes), Linear(width, classes)

    def each(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """By the class token, and by the distillation token: [B, classes] each."""
        return self.first(x[:, 0]), self.second(x[:, 1])

    def forward(self, x: Tensor, table: Tensor | None = None) -> Tensor:
        one, other = self.each(x)
        return (one + other) / 2  # [B, C]


def build(c: DeiT, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    heads = {"classes": partial(Taught if c.taught else RowHead, c.width, c.classes)}
    return encoder(c, position or LearnedScheme(), attention, heads, first=2, pooler=First())


# fmt: off
FAMILIES.register("deit", Family(
    name="deit", config=DeiT, build=build, initialise=draw, objective="classes",
    reads="signals", modality="pictures", packs=False,
    sizes={
        "debug": DEBUG | dict(classes=5, taught=True), "small": SMALL | dict(classes=10, taught=True),
        "tiny": dict(width=192, heads=3, hidden=768, taught=True), "base": dict(taught=True),
    },
    weights=lambda c: (
        *table(c, "deit", ("cls_token", "distillation_token")),
        ("heads.classes.{first,second}", "{cls_classifier,distillation_classifier}", "optional"),
    ),
    published=Published(
        "deit", {
            "DeiTForImageClassificationWithTeacher": ("classes",), "DeiTForImageClassification": ("classes",),
            "DeiTModel": (),
        },
        KEYS, heads="tasks", marked={"DeiTForImageClassificationWithTeacher": "taught"}, prefix="deit.",
        bare=frozenset({"DeiTModel"}), only={"pooler_act": ("tanh",)}, training=("branch_dropout",),
        inert=frozenset({"encoder_stride"}),  # of masked images, whose head is not read
        seam=labels(),
        found=(
            Found("deit.pooler.dense.weight", "dense"), Found("distillation_classifier.weight", "taught"),
            Found("classifier.weight", "tasks", "classes"), Found("cls_classifier.weight", "tasks", "classes"),
        ),
    ),
    summary="ViT with a distillation token beside the class token, and a head of two layers whose scores are averaged",
))
