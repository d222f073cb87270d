"""VQGAN (Esser et al. 2021): pictures as rows of codes from a book that is learned with what makes them and what paints
them again.

    ids = module.encode(rows)         # patches [B, P, C] -> int64 [B, P]
    rows = module.decode(ids)         # and back

It is trained by `autoencode`, which has the paper's discriminator; a decoder that goes on with codes draws pictures
(the recipe `fashion_codes`). Where we differ: codes lie on the unit sphere (Yu et al. 2022, §3.2) where `unit` says so,
and there is no perceptual network, which would have to be trained on other pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

from weft.models import coding
from weft.models.family import FAMILIES, Family
from weft.models.patches import Picture
from weft.nn import Attention, Scheme


@dataclass(frozen=True)
class VQGAN(Picture):
    image: int = 256
    patch: int = 16  # pixels of the side of what one code stands for
    codes: int = 1024
    code_width: int = 8  # numbers of a code
    unit: bool = True
    widths: tuple[int, ...] = (64, 128, 128, 256, 256)  # numbers of a place, of a pixel's and after each halving
    heads: int = 4

    @property
    def width(self) -> int:
        """Numbers of a place where it becomes a code."""
        return self.widths[-1]

    @property
    def classes(self) -> int:
        """It tells none apart: data may have any number."""
        return 2**31


def build(c: VQGAN, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> coding.Coder:
    if len(c.widths) < 2 or 2 ** (len(c.widths) - 1) != c.patch or c.image % c.patch:
        raise ValueError(
            f"patch = {c.patch} of image = {c.image} pixels, and {len(c.widths)} widths: a picture is halved after "
            "each but the last, until one place stands for a patch, and patches divide the image"
        )
    lift = coding.lift(c.channels, c.widths, c.heads, c.code_width)
    paint = coding.paint(c.channels, c.widths, c.heads, c.code_width)
    codebook = coding.Codebook(c.codes, c.code_width, unit=c.unit)
    return coding.Coder(lift, codebook, paint, channels=c.channels, patch=c.patch)


FAMILIES.register("vqgan", Family(
    name="vqgan", config=VQGAN, build=build, initialise=lambda module, c: coding.start(module),
    objective="autoencode", reads="signals", modality="pictures", packs=False, swaps=(),
    sizes={
        "debug": dict(image=12, patch=4, channels=1, codes=16, code_width=4, widths=[8, 16, 48], heads=4),
        "small": dict(image=28, patch=4, channels=1, codes=256, code_width=8, widths=[8, 32, 64]),
        "base": dict(),
    },
    summary="convolutions to codes from a learned book, and back to pictures",
))  # fmt: skip
