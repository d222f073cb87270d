"""An encoder–decoder of two sides, of the parts that a family puts in."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from weft.nn import Block, Branch, Causal, Embed, EncoderDecoder, Field, Full, LMHead, Position, Residual, Scheme, Stack


class Side(NamedTuple):
    """The source's, or the target's. attn: (relative=..) -> self-attention."""

    embed: Embed
    depth: int
    heads: int
    head_width: int
    attn: Callable[..., Branch]
    mlp: Callable[[], Branch]


def pair(
    scheme: Scheme,
    source: Side,
    target: Side,
    *,
    cross: Callable[[], Branch],
    residual: Callable[[Branch], Residual],
    norm: Callable[[], nn.Module],
    head: LMHead,
    dropout: float = 0.0,
) -> EncoderDecoder:
    """residual: a branch in the residual stream, with its norm; norm, dropout: after the last layer of each side."""

    def stack(side: Side, **across: Callable[[], Branch]) -> Stack:
        """A side with `across` goes from left to right, one without sees both ways."""
        sizes, both = (side.heads, side.head_width), not across
        layers = [
            Block(
                attn=residual(side.attn(relative=scheme.relative(*sizes, bidirectional=both))),
                **{name: residual(branch()) for name, branch in across.items()},
                mlp=residual(side.mlp()),
            )
            for _ in range(side.depth)
        ]
        fields = {"self": Field(scheme.field(*sizes, bidirectional=both), Full() if both else Causal())}
        if across:
            fields["memory"] = Field(Position(), Full(), keys="memory")
        return Stack(layers, fields=fields, norm=norm(), dropout=dropout)

    encoder, decoder = stack(source), stack(target, cross=cross)
    return EncoderDecoder(source.embed, encoder, target.embed, decoder, head=head)
