"""Conformer (Gulati et al. 2020): an encoder of a sound in which each layer both looks everywhere and mixes what lies
side by side, and a head that says at each place which letter is heard there, if a new one is (CTC, Graves et al. 2006).

A row is a sound's log-mel frames, as its processor makes them. Convolutions over time and frequency, each of which
halves the bands and joins so many frames (two that halve both are the paper's, their figure 1: "convolution
subsampling"), and a projection make the places of it: what another throat shifts in frequency is heard by the same
weights. Where we differ from the paper: it does not say how that is done; we have 3 x 3 neighbours, zeros around the
edges, each number's mean and variance over the row taken away, which are the voice's and the microphone's more than the
word's (instance norm, Ulyanov et al. 2016), and the activation of the rest. The norm inside the block's convolution is
of each place (LayerNorm) in place of a batch's (BatchNorm): so a row's answer depends neither on its companions nor on
their padding, in training as in evaluation, and losses of micro-batches add up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from math import prod

from torch import Tensor
from torch.nn import functional

from weft.models.along import RowNorm
from weft.models.conforming import block
from weft.models.family import FAMILIES, Family, draw
from weft.models.signals import NoIds
from weft.nn import Attention, Encoder, Field, Full, LayerNorm, Linear, RelativeXLScheme
from weft.nn.convolution import Convolution, Convolved
from weft.nn.position import StemPosition
from weft.nn.scheme import Scheme
from weft.nn.stack import Stack
from weft.nn.vectors import CTCHead


@dataclass(frozen=True)
class Conformer(NoIds):
    mels: int = 80  # numbers of a frame
    channels: int | None = None  # numbers of a band in the stem's convolutions; None: width
    joins: tuple[int, ...] = (2, 2)  # frames that each convolution of the stem makes one of: 1 to 3
    places: int = 1500  # behind the stem that a table of positions is made for
    width: int = 256
    depth: int = 16
    heads: int = 4
    hidden: int = 1024
    kernel: int = 31  # places that a convolution mixes
    act: str = "silu"
    eps: float = 1e-5
    dropout: float = 0.1
    attention_dropout: float | None = None  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    labels: int = 29
    blank: int = field(default=0, metadata={"least": 0})  # the label of nothing new
    tasks: tuple[str, ...] = ("ctc",)

    @property
    def context(self) -> int:
        """Frames that make so many places."""
        return prod(self.joins) * self.places


class Joining(Convolution):
    """act(norm(Σ W x + b)) over 3 x 3 neighbours in time and frequency, every second band and every `join`-th place.
    x [B, T, F·C] -> [B, T', F'·D], T' = ⌈T / join⌉ and F' = ⌈F / 2⌉, a band's numbers side by side; weight
    [D, C, 3, 3]. bands, bands_out: F and F'."""

    def __init__(self, bands: int, width_in: int, width_out: int, *, join: int, act: str, eps: float) -> None:
        bands_out = (bands + 1) // 2
        norm = RowNorm(width_out, bands=bands_out, eps=eps)
        super().__init__(width_in, width_out, 3, stride=join, padding=1, norm=norm, act=act, axes=2)
        self.channels, self.bands, self.bands_out = bands * width_in, bands, bands_out

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x = x.unflatten(-1, (self.bands, -1)).permute(0, 3, 1, 2)  # [B, C, T, F]
        y = functional.conv2d(x, weight, bias, (self.stride, 2), self.padding)  # [B, D, T', F']
        return y.permute(0, 2, 3, 1).flatten(2)  # [B, T', F'·D]

    def extra_repr(self) -> str:
        """Numbers of a band, and how many bands."""
        width_out, width_in, *_ = self.weight.shape
        bands = f"{self.bands} -> {self.bands_out} bands"
        return f"{width_in} -> {width_out}, {bands}, 3 x 3 neighbours, step {self.stride} in time + bias"


def stem_of(c: Conformer, position: StemPosition) -> Convolved:
    """From frames to places. ValueError for no convolution, for one that would pass frames over, and for so many that
    one band is left, of which a sound of one place would be its own mean."""
    said = ", ".join(map(str, c.joins))
    if not c.joins or not all(1 <= join <= 3 for join in c.joins):
        raise ValueError(f"joins = {said or 'nothing'}, but each convolution joins 1 to 3 frames: 2, 2 are the paper's")
    bands, width, channels, layers = c.mels, 1, c.channels or c.width, list[Joining]()
    for join in c.joins:
        layers.append(Joining(bands, width, channels, join=join, act=c.act, eps=c.eps))
        bands, width = layers[-1].bands_out, channels
    if bands == 1:
        raise ValueError(f"joins = {said}: {len(layers)} halvings leave one of mels = {c.mels} bands; two must be left")
    lift = Linear(bands * channels, c.width)
    return Convolved(layers, c.width, lift=lift, dropout=c.dropout, position=position)


def build(c: Conformer, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    scheme, head_width, norm = (
        position or RelativeXLScheme(),
        c.width // c.heads,
        partial(LayerNorm, c.width, eps=c.eps),
    )
    rate = c.dropout if c.attention_dropout is None else c.attention_dropout
    stem = stem_of(c, scheme.stem(c.width, c.places))

    def attn() -> Attention:
        relative = scheme.relative(c.heads, head_width, bidirectional=True)
        return attention(c.width, c.heads, relative=relative, dropout=rate)

    blocks = [
        block(attn(), c.width, c.hidden, c.kernel, act=c.act, norm=norm, mixed=norm(), drop=c.dropout,
              hidden_drop=c.dropout, attn_drop=c.dropout, conv_drop=c.dropout)
        for _ in range(c.depth)
    ]  # fmt: skip
    sight = Field(scheme.field(c.heads, head_width, bidirectional=True), Full())
    heads = {task: CTCHead(c.width, c.labels, blank=c.blank) for task in c.tasks}
    return Encoder(stem, Stack(blocks, fields={"self": sight}), heads)


# fmt: off
FAMILIES.register("conformer", Family(
    name="conformer", config=Conformer, build=build, initialise=draw, objective="ctc",
    reads="signals", modality="speech", packs=False,
    sizes={
        "debug": dict(mels=8, places=16, width=48, depth=2, heads=4, hidden=96, kernel=5, labels=11, dropout=0.0),
        "small": dict(width=144),
        "medium": dict(),
        "large": dict(width=512, depth=17, heads=8, hidden=2048),
    },
    summary="encoder of sound to letters, attention beside convolution, relative positions, CTC",
))
