"""Wav2Vec2-Conformer (Wang et al. 2020's variant of Baevski et al. 2020 with blocks of Gulati et al. 2020), fine-tuned
to write letters: convolutions read the samples of a sound, a Conformer what they make of them, a head says letters.

A row is a sound's samples, vectors of one number, as its processor makes them. Places are told by distance
(`RelativeXL`), or not at all; the reference's "rotary", which turns what queries and keys are made from instead of
these, is refused. Its eps is of two norms alone, the one before the layers and the one after; all others have 1e-5. A
position convolution and a vector for masked places lie in its files that it never computes with: they are kept.

Padding is left out everywhere, so that a row is the same alone and in a batch; in the reference its norms and
convolutions hear it. In training, BatchNorm couples the rows of a batch (see `BatchNorm`). No layer is ever left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from torch import nn

from weft.models.along import BatchNorm, RowNorm
from weft.models.conforming import block
from weft.models.family import FAMILIES, Family, draw
from weft.models.published_wav2vec2 import PUBLISHED, table
from weft.models.signals import NoIds
from weft.nn import Attention, Dropout, Encoder, Field, Full, LayerNorm, Linear, RelativeXLScheme
from weft.nn.convolution import Convolution, Convolved
from weft.nn.scheme import Scheme
from weft.nn.stack import Stack
from weft.nn.vectors import CTCHead


@dataclass(frozen=True)
class Wav2Vec2Conformer(NoIds):
    places: int = 5000  # behind the stem, that a table of positions, where one is put in, is made for
    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    kernel: int = 31  # places that a layer's convolution mixes
    act: str = "gelu"
    eps: float = 1e-5
    stem_widths: tuple[int, ...] = (512,) * 7
    stem_kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    stem_steps: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    stem_act: str = "gelu"
    stem_bias: bool = False
    stem_norm: Literal["group", "layer"] = "group"  # the first along the row, or each of each place
    dropout: float = 0.1
    attention_dropout: float | None = None  # of the weights, and of what attention gives; None: dropout
    hidden_dropout: float = 0.1  # inside the feed-forward
    stem_dropout: float = 0.0
    conv_dropout: float = 0.1
    final_dropout: float = 0.1
    labels: int = 32
    blank: int = field(default=0, metadata={"least": 0})  # the label of nothing new
    tasks: tuple[str, ...] = ("ctc",)

    @property
    def context(self) -> int:
        """The most samples that make so many places."""
        length = self.places + 1
        for kernel, step in zip(reversed(self.stem_kernels), reversed(self.stem_steps), strict=True):
            length = (length - 1) * step + kernel
        return length - 1


def stem(c: Wav2Vec2Conformer, scheme: Scheme) -> Convolved:
    """Convolutions over the samples, and what makes their last as wide as the layers."""
    sizes = c.stem_widths, c.stem_kernels, c.stem_steps
    if not c.stem_widths or len({len(of) for of in sizes}) > 1:
        raise ValueError(f"stem_widths, stem_kernels, stem_steps = {sizes}: as many of each, at least one")
    convolutions, before = list[Convolution](), 1
    for number, (width, kernel, step) in enumerate(zip(*sizes, strict=True)):
        norm = LayerNorm(width) if c.stem_norm == "layer" else RowNorm(width) if number == 0 else None
        convolutions.append(
            Convolution(before, width, kernel, stride=step, bias=c.stem_bias, norm=norm, act=c.stem_act)
        )
        before = width
    lift = nn.Sequential(LayerNorm(before, eps=c.eps), Linear(before, c.width), Dropout(c.stem_dropout))
    return Convolved(convolutions, c.width, lift=lift, position=scheme.stem(c.width, c.places), dropout=c.dropout)


def build(c: Wav2Vec2Conformer, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    scheme, head_width = position or RelativeXLScheme(), c.width // c.heads
    rate = c.dropout if c.attention_dropout is None else c.attention_dropout

    def attn() -> Attention:
        relative = scheme.relative(c.heads, head_width, bidirectional=True)
        return attention(c.width, c.heads, relative=relative, dropout=rate)

    blocks = [
        block(attn(), c.width, c.hidden, c.kernel, act=c.act, norm=partial(LayerNorm, c.width),
              mixed=BatchNorm(c.width), drop=c.dropout, hidden_drop=c.hidden_dropout, attn_drop=rate,
              conv_drop=c.conv_dropout)
        for _ in range(c.depth)
    ]  # fmt: skip
    sight = Field(scheme.field(c.heads, head_width, bidirectional=True), Full())
    stack = Stack(blocks, fields={"self": sight}, norm=LayerNorm(c.width, eps=c.eps), dropout=c.final_dropout)
    return Encoder(stem(c, scheme), stack, {task: CTCHead(c.width, c.labels, blank=c.blank) for task in c.tasks})


# fmt: off
FAMILIES.register("wav2vec2_conformer", Family(
    name="wav2vec2_conformer", config=Wav2Vec2Conformer, build=build, initialise=draw, objective="ctc",
    reads="signals", modality="speech",
    packs=False,
    sizes={
        "debug": dict(width=48, depth=2, heads=4, hidden=96, kernel=5, places=64, stem_widths=[16, 24],
                      stem_kernels=[6, 3], stem_steps=[4, 2], labels=11, dropout=0.0, hidden_dropout=0.0,
                      conv_dropout=0.0, final_dropout=0.0),
        "base": dict(),
        "large": dict(width=1024, depth=24, heads=16, hidden=4096, act="silu", stem_norm="layer", stem_bias=True),
    },
    weights=table, published=PUBLISHED,
    summary="encoder of a sound's samples to letters, convolutions and Conformer blocks, CTC",
))
