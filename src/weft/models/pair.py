"""An encoder–decoder of two sides, which its kinds share: from what a family puts in, the same module."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from weft.nn import Block, Branch, Causal, Embed, EncoderDecoder, Field, Full, LMHead, Position, Residual, Scheme, Stack


class Side(NamedTuple):
    """The encoder's half, or the decoder's. look: (relative=..) -> self-attention; mlp, cross: () -> a branch."""

    embed: Embed
    depth: int
    heads: int
    head_width: int
    look: Callable[..., Branch]
    mlp: Callable[[], Branch]

    def layers(
        self, scheme: Scheme, inside: Callable[[Branch], Residual], **cross: Callable[[], Branch]
    ) -> list[Block]:
        """Each with a relative part of its own; without `cross` it is the side that looks both ways."""

        def layer() -> Block:
            relative = scheme.relative(self.heads, self.head_width, bidirectional=not cross)
            between = {name: inside(make()) for name, make in cross.items()}
            return Block(attn=inside(self.look(relative=relative)), **between, mlp=inside(self.mlp()))

        return [layer() for _ in range(self.depth)]


def pair(
    scheme: Scheme,
    source: Side,
    target: Side,
    *,
    cross: Callable[[], Branch],
    inside: Callable[[Branch], Residual],
    norm: Callable[[], nn.Module],
    head: LMHead,
    dropout: float = 0.0,
) -> EncoderDecoder:
    """inside: a branch in the residual stream, with its norm; norm, dropout: after the last layer of each side."""
    full = Field(scheme.field(source.heads, source.head_width, bidirectional=True), Full())
    causal = Field(scheme.field(target.heads, target.head_width), Causal())
    memory = Field(Position(), Full(), keys="memory")
    encoder, decoder = source.layers(scheme, inside), target.layers(scheme, inside, cross=cross)
    return EncoderDecoder(
        source.embed,
        Stack(encoder, fields={"self": full}, norm=norm(), dropout=dropout),
        target.embed,
        Stack(decoder, fields={"self": causal, "memory": memory}, norm=norm(), dropout=dropout),
        head=head,
    )
