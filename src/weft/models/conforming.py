"""The Conformer's block (Gulati et al. 2020, §2), which a family fills with its parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from weft.nn import MLP, Block, Branch, Residual
from weft.nn.convolution import GatedConvolution


def block(
    attn: Branch, width: int, hidden: int, kernel: int, *, act: str, norm: Callable[[], nn.Module],
    mixed: nn.Module, drop: float, hidden_drop: float, attn_drop: float, conv_drop: float,
) -> Block:  # fmt: skip
    """Half a feed-forward, attention, the convolution, half a feed-forward, each after a norm, and a norm at the end.

    mixed: the norm inside the convolution. drop, attn_drop, conv_drop: of what the branches give; hidden_drop: inside
    the feed-forward.
    """
    mlp = partial(MLP, width, hidden, act=act, dropout=hidden_drop)
    return Block(
        ff1=Residual(mlp(), pre=norm(), scale=0.5, drop=drop),
        attn=Residual(attn, pre=norm(), drop=attn_drop),
        conv=Residual(GatedConvolution(width, kernel, norm=mixed, act=act), pre=norm(), drop=conv_drop),
        ff2=Residual(mlp(), pre=norm(), scale=0.5, drop=drop),
        norm=norm(),
    )
