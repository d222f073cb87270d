"""CCT (Hassani et al. 2021), the compact convolutional transformer: convolutions make the tokens of an image, and its
class is read of a mean of states that the model weighs (§3.2); for sets of few and small images.

A row is all of an image's pixels, one by one (`patch` is 1). Behind each convolution stand relu and a maximum over
3 x 3, every second one. As in the authors' code attention is normed before it and again behind the sum, and the
feed-forward reads that as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.models.family import FAMILIES, Family, draw
from weft.models.patches import Picture
from weft.nn import MLP, Attention, Block, Encoder, Field, Full, LayerNorm, Layout, LearnedScheme, Residual, RowHead
from weft.nn.depth import DropBranch
from weft.nn.dropout import Dropout
from weft.nn.embed import Stem
from weft.nn.position import Learned, StemPosition
from weft.nn.scheme import Scheme
from weft.nn.stack import Stack
from weft.nn.tap import Tap
from weft.nn.vectors import Weighed


@dataclass(frozen=True)
class CCT(Picture):
    image: int = 32
    patch: int = 1
    convolutions: int = 1
    kernel: int = 3  # pixels of a side
    stride: int = 1
    inner: int = 64  # channels between two convolutions
    width: int = 256
    depth: int = 7
    heads: int = 4
    hidden: int = 512
    act: str = "gelu"
    eps: float = 1e-5
    dropout: float = 0.0
    attention_dropout: float | None = 0.1  # of the attention weights; None: dropout
    branch_dropout: float = 0.1  # of whole branches in the last layer; none in the first, evenly more in between
    classes: int = 10
    tasks: tuple[str, ...] = ("classes",)

    @property
    def side(self) -> int:
        """Tokens of a side of an image."""
        side = self.image
        for _ in range(self.convolutions):
            side = (side + self.kernel // 2 * 2 - self.kernel) // self.stride // 2 + 1
        return side


class Convolved(Stem):
    """drop(position.add(blocks(x))): pixels [B, image², channels] -> [B, side², D], where a block is
    maximum(relu(W * x)), and W [out, in, kernel, kernel] has no bias."""

    def __init__(self, c: CCT, position: StemPosition) -> None:
        super().__init__()
        self.image, self.channels, self.stride = c.image, c.channels, c.stride
        self.places, self.tokens = c.image**2, c.side**2
        self.weight, self.types, self.position = None, None, position
        sizes = [c.channels, *[c.inner] * (c.convolutions - 1), c.width]
        self.kernels = nn.ParameterList([torch.empty(b, a, c.kernel, c.kernel) for a, b in pairwise(sizes)])
        self.drop, self.embedded = Dropout(c.dropout), Tap()
        self.reset()

    def reset(self) -> None:
        """He et al. 2015."""
        for kernel in self.kernels:
            nn.init.kaiming_normal_(kernel)

    @property
    def context(self) -> int:
        """Pixels of an image."""
        return self.places

    def extent(self, length: int) -> int:
        """Tokens of an image."""
        return self.tokens

    def lay(self, here: Layout, length: int) -> Layout:
        """Tokens stand where convolutions put them. ValueError for less than an image, and for pixels elsewhere."""
        if length != self.places or not here.plain:
            said = f"{length} pixels" if here.plain else "pixels with places of their own, or padding"
            raise ValueError(f"a row is all {self.places} pixels of an image in their order, not {said}")
        return here

    def forward(self, tokens: Tensor, here: Layout, types: Tensor | None = None) -> Tensor:
        """ValueError for ids, vectors of another length, and types, of which there are none."""
        if tokens.ndim != 3 or tokens.shape[-1] != self.channels:
            raise ValueError(f"this model reads pixels [rows, places, {self.channels}], not {list(tokens.shape)}")
        if types is not None:
            raise ValueError("token types were given, but pixels have none: leave them out")
        x = tokens.mT.unflatten(-1, (self.image, self.image))  # [B, channels, image, image]
        for kernel in self.kernels:
            x = functional.conv2d(x, kernel, stride=self.stride, padding=kernel.shape[-1] // 2)
            x = functional.max_pool2d(x.relu(), 3, stride=2, padding=1)
        x = x.flatten(2).mT  # [B, side², D]
        x = self.position.add(x, here.numbered(x.shape[1], x.device))
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return self.embedded(self.drop(x))


# fmt: off
def build(c: CCT, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    if c.patch != 1 or c.kernel % 2 == 0:
        raise ValueError(f"patch = {c.patch}, kernel = {c.kernel}: pixels are read one by one, by an odd kernel")
    if not set(c.tasks) <= {"classes"}:
        raise ValueError(f"tasks = {c.tasks}, but there is classes alone")
    scheme, head_width, norm = position or LearnedScheme(), c.width // c.heads, partial(LayerNorm, c.width, eps=c.eps)
    rate = c.dropout if c.attention_dropout is None else c.attention_dropout
    relative = partial(scheme.relative, c.heads, head_width, bidirectional=True)
    attn = partial(attention, c.width, c.heads, bias="o", dropout=rate)
    def block(layer: int) -> Block:
        residual = partial(Residual, drop=c.dropout, post=DropBranch.at(c.branch_dropout, layer, c.depth))
        return Block(attn=residual(attn(relative=relative()), pre=norm(), after=norm()),
                     mlp=residual(MLP(c.width, c.hidden, act=c.act, dropout=c.dropout)))
    fields = {"self": Field(scheme.field(c.heads, head_width, bidirectional=True), Full())}
    stack = Stack([block(layer) for layer in range(c.depth)], fields=fields, norm=norm())
    stem, heads = Convolved(c, scheme.stem(c.width, c.side**2)), {task: RowHead(c.width, c.classes) for task in c.tasks}
    return Encoder(stem, stack, heads, pooler=Weighed(c.width))


def start(module: nn.Module, c: CCT) -> None:
    """Positions begin ten times as large as the rest, as the authors have them."""
    draw(module, c)
    for part in (part for part in module.modules() if isinstance(part, Learned)):
        nn.init.normal_(part.weight, std=0.2)


FAMILIES.register("cct", Family(
    name="cct", config=CCT, build=build, initialise=start, objective="classes", reads="signals",
    modality="pictures", packs=False, sizes={
        "debug": dict(image=12, channels=1, width=48, depth=2, heads=4, hidden=96, convolutions=2, inner=16, classes=5),
        "small": dict(image=28, channels=1, width=128, depth=4, heads=2, hidden=128, convolutions=2),
        "2-3x2": dict(width=128, depth=2, heads=2, hidden=128, convolutions=2), "base": dict(),
        "14-7x2": dict(image=224, width=384, depth=14, heads=6, hidden=1152, convolutions=2, kernel=7,
                                       stride=2, classes=1000),
    },
    summary="encoder of what convolutions make of an image's pixels, learned positions, a weighed mean for its class",
))
