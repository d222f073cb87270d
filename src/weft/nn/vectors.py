"""The stem of signals: rows of vectors (an image's patches, a sound's frames, a series' channels) in place of ids."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weft.nn.activation import activation
from weft.nn.dropout import Dropout
from weft.nn.encoder import Head
from weft.nn.layout import Layout
from weft.nn.linear import Linear
from weft.nn.position import StemPosition
from weft.nn.stem import Stem
from weft.nn.tap import Tap


class Vectors(Stem):
    """drop(norm(position.add([first; lift(x)]))): vectors [B, T, C] -> [B, F + T, D].

    channels: C. first: F trained vectors that stand before a row's own (Dosovitskiy et al. 2021, eq. 1: one, of which
    the class is read). position: places the F too, so that a table of its own has F rows more than a row has places.
    Where an order is given it is the row's own places': some of them may be left out (He et al. 2022, MAE), and those
    that stay keep their places. Under autocast the residual stream starts in the autocast precision.
    """

    def __init__(
        self, channels: int, width: int, *, first: int = 0, position: StemPosition | None = None, bias: bool = True,
        norm: nn.Module | None = None, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.channels, self.width = channels, width
        self.weight, self.types = None, None
        self.lift = Linear(channels, width, bias=bias)
        self.first, self.before = nn.ParameterList([torch.empty(1, width) for _ in range(first)]), first
        self.position, self.norm, self.drop = position or StemPosition(), norm or nn.Identity(), Dropout(dropout)
        self.embedded = Tap()
        self.reset()

    def reset(self) -> None:
        for vector in self.first:
            nn.init.normal_(vector, std=0.02)

    @property
    def context(self) -> int | None:
        """The most places a row of its own can have."""
        return None if self.position.context is None else self.position.context - self.before

    def lay(self, here: Layout, length: int) -> Layout:
        """[B, T] -> [B, F + T], see `Layout.after`."""
        return here.after(len(self.first))

    def forward(self, tokens: Tensor, here: Layout, types: Tensor | None = None) -> Tensor:
        """Vectors [B, T, C] -> [B, F + T, D]; here: as `lay` gives it. ValueError for ids, vectors of another length,
        and types, of which there are none."""
        check_vectors(tokens, self.channels, types)
        x = self.lift(tokens)  # [B, T, D]
        if self.before:
            before = torch.cat(list(self.first))[None].expand(len(x), -1, -1)  # [B, F, D]
            x = torch.cat((before.to(x.dtype), x), dim=1)  # [B, F + T, D]
        x = self.position.add(x, here.numbered(x.shape[1], x.device))
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return self.embedded(self.drop(self.norm(x)))

    def extra_repr(self) -> str:
        return f"{self.channels} -> {self.width}{f', after {self.before}' if self.before else ''}"


def check_vectors(tokens: Tensor, channels: int, types: Tensor | None = None) -> None:
    """ValueError for what is no row of vectors of so many numbers, and for types, of which they have none."""
    if tokens.ndim != 3 or tokens.shape[-1] != channels or not tokens.is_floating_point():
        raise ValueError(
            f"this model reads vectors of {channels} numbers [rows, places, {channels}], not "
            f"{str(tokens.dtype).removeprefix('torch.')} {list(tokens.shape)}: make them with its processor"
        )
    if types is not None:
        raise ValueError("token types were given, but vectors have none: leave them out")


class First(nn.Module):
    """The state of a row's first place. x [B, T, D] -> [B, D]."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]  # [B, D]


class Average(nn.Module):
    """The mean over a row's places behind the `first` ones. x [B, F + T, D] -> [B, D]."""

    def __init__(self, first: int = 0) -> None:
        super().__init__()
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.first :].mean(dim=1)  # [B, D]


class Weighed(nn.Module):
    """softmax(x w)ᵀ x: the mean weighed by what one linear layer makes of each place (Hassani et al. 2021, §3.2,
    SeqPool). x [B, T, D] -> [B, D]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return (self.out(x).softmax(dim=1) * x).sum(dim=1)  # [B, D]


class CTCHead(Head):
    """out(x): what each place says, one of `labels`, of which `blank` is that it says nothing new (Graves et al. 2006).
    x [B, T, D] -> [B, T, labels]."""

    def __init__(self, width: int, labels: int, *, blank: int = 0) -> None:
        super().__init__()
        if not 0 <= blank < labels:
            raise ValueError(f"blank = {blank} is none of {labels} labels: it must be at least 0 and below that")
        self.out, self.labels, self.blank = Linear(width, labels), labels, blank

    def forward(self, x: Tensor, table: Tensor | None = None) -> Tensor:
        return self.out(x)  # [B, T, labels]


class VectorHead(Head):
    """act(out(x)): a vector a place, which is held against others, not against labels. x [.., D] -> [.., C]."""

    def __init__(self, width: int, channels: int, *, act: str | None = None) -> None:
        super().__init__()
        self.out, self.act = Linear(width, channels), None if act is None else activation(act)

    def forward(self, x: Tensor, table: Tensor | None = None) -> Tensor:
        return self.out(x, self.act)  # [.., C]

    def nats(self, x: Tensor, labels: Tensor, table: Tensor | None = None, *, ignored: int = -100) -> Tensor:
        """ValueError: it gives no probabilities."""
        raise ValueError("this head tells numbers, of which there is no -log p: hold its vectors against others")
