"""A diffusion transformer (Peebles & Xie 2023, DiT) that is told by a text what to draw: in each layer patches look at
each other, then at the text's states (Rombach et al. 2022, §3.3), and are modulated by the level of noise.

    memory = module.read(tokens, here)                # texts int64 [B, T]
    told = module(noisy, level, memory)               # patches [B, P, C], levels int64 [B]

`weft.generate.denoise` draws with it. Where we differ: the text's encoder is trained with the rest; the text is read by
attention alone, never added to the level; after the last layer two convolutions see the noisy picture beside what the
patches tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from weft.models import diffusing
from weft.models.diffusing import Predicts
from weft.models.family import FAMILIES, Family
from weft.nn import (
    MLP,
    Attention,
    Block,
    CrossAttention,
    Embed,
    Encoder,
    Field,
    Full,
    LayerNorm,
    LearnedScheme,
    Position,
    Residual,
    Scheme,
    Stack,
)
from weft.nn.vectors import Vectors


@dataclass(frozen=True)
class DiT:
    vocab: int = 1000
    context: int = 32  # ids of a text
    image: int = 32
    patch: int = 4
    channels: int = 3
    width: int = 256
    depth: int = 8
    heads: int = 4
    hidden: int = 1024
    text_depth: int = 2
    features: int = 16  # numbers of a pixel before the last convolutions
    dropout: float = 0.0
    steps: int = 1000  # levels of noise
    predicts: Predicts = "velocity"

    @property
    def places(self) -> int:
        """Patches of a picture."""
        return (self.image // self.patch) ** 2


def build(c: DiT, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> diffusing.Denoiser:
    if c.image % c.patch or c.width % 2:
        raise ValueError(
            f"image = {c.image}, patch = {c.patch}, width = {c.width}: patches divide the image, and a width is even"
        )
    scheme, head_width, norm = position or LearnedScheme(), c.width // c.heads, partial(LayerNorm, c.width)
    relative = partial(scheme.relative, c.heads, head_width, bidirectional=True)
    own, mlp = partial(attention, c.width, c.heads), partial(MLP, c.width, c.hidden, dropout=c.dropout)

    def field() -> Field:
        return Field(scheme.field(c.heads, head_width, bidirectional=True), Full())

    texts = [
        Block(attn=Residual(own(relative=relative()), pre=norm()), mlp=Residual(mlp(), pre=norm()))
        for _ in range(c.text_depth)
    ]
    embed = Embed(c.vocab, c.width, position=scheme.stem(c.width, c.context))
    text = Encoder(embed, Stack(texts, fields={"self": field()}, norm=norm()))
    layers = [
        diffusing.Modulated(
            c.width,
            attn=own(relative=relative()),
            cross=CrossAttention(c.width, c.heads, field="memory"),
            mlp=mlp(),
        )
        for _ in range(c.depth)
    ]
    fields = {"self": field(), "memory": Field(Position(), Full(), keys="memory")}
    picture = Vectors(c.channels * c.patch**2, c.width, position=scheme.stem(c.width, c.places))
    painter = diffusing.Painter(c.width, c.channels, c.patch, c.features)
    schedule = diffusing.Schedule(c.steps, c.predicts)
    return diffusing.Denoiser(
        text, picture, Stack(layers, fields=fields), diffusing.Level(c.steps, c.width), painter, schedule
    )


def initialise(module: nn.Module, c: Any) -> None:
    """See `diffusing.start`."""
    assert isinstance(module, diffusing.Denoiser)
    diffusing.start(module)


FAMILIES.register("dit", Family(
    name="dit", config=DiT, build=build, initialise=initialise, objective="diffusion",
    reads="both", modality="drawings", packs=False, swaps=("position",),
    sizes={
        "debug": dict(vocab=131, context=16, image=12, channels=1, width=48, depth=2, heads=4, hidden=96, text_depth=1,
                      features=4, steps=100),
        "small": dict(context=16, image=28, channels=1, width=128, depth=5, heads=4, hidden=384, text_depth=1),
        "base": dict(),
    },
    summary="diffusion transformer: patches out of noise, cross-attention to a text, modulated by the level of noise",
))  # fmt: skip
