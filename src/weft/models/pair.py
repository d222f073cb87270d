"""An encoder–decoder of two sides, of the parts that a family puts in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from torch import nn

from weft.nn import Attention, Block, Branch, CrossAttention, Embed, EncoderDecoder, LMHead, Position, Residual, Stack
from weft.nn.context import Field
from weft.nn.mask import Causal, Full
from weft.nn.scheme import Scheme
from weft.nn.stem import Stem

DEBUG = dict(vocab=131, context=64, width=48, encoder_depth=2, heads=4, hidden=96)  # what most have at these two sizes
SMALL = dict(vocab=4096, context=128, width=256, encoder_depth=3, heads=4, hidden=1024)


class Side(NamedTuple):
    """The source's, or the target's, whose stem is an `Embed`."""

    embed: Stem
    depth: int
    heads: int
    mlp: Callable[[], Branch]


# fmt: off
def pair(
    scheme: Scheme, attention: type[Attention], source: Side, target: Side, *, head_width: int | None = None,
    bias: str = "qkvo", scale: float | None = None, rate: float, residual: Callable[[Branch], Residual],
    norm: Callable[[], nn.Module], dropout: float = 0.0, head: LMHead,
) -> EncoderDecoder:
    """A source that is seen both ways, and a target from left to right that looks across at it.

    head_width: None, width / heads. bias, scale, rate (the dropout of weights): of every attention. residual: a branch
    in the residual stream, with its norm. norm, dropout: after the last layer of each side.
    """
    how: dict[str, Any] = dict(head_width=head_width, bias=bias, scale=scale, dropout=rate)

    def stack(side: Side, both: bool) -> Stack:
        """A side that sees both ways, or else goes from left to right and looks across."""
        width, sizes = side.embed.width, (side.heads, head_width or side.embed.width // side.heads)
        attn = partial(attention, width, side.heads, **how)
        cross = partial(CrossAttention, width, side.heads, field="memory", **how)
        relative = partial(scheme.relative, *sizes, bidirectional=both)
        layers = [
            Block(attn=residual(attn(relative=relative())), **({} if both else {"cross": residual(cross())}),
                  mlp=residual(side.mlp()))
            for _ in range(side.depth)
        ]
        fields = {"self": Field(scheme.field(*sizes, bidirectional=both), Full() if both else Causal())}
        if not both:
            fields["memory"] = Field(Position(), Full(), keys="memory")
        return Stack(layers, fields=fields, norm=norm(), dropout=dropout)

    encoder, decoder = stack(source, both=True), stack(target, both=False)
    assert isinstance(target.embed, Embed), "what is written is ids"
    return EncoderDecoder(source.embed, encoder, target.embed, decoder, head=head)
# fmt: on
