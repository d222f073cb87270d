"""The Transformer (Vaswani et al. 2017): post-LN encoder and decoder, sinusoids, one table for everything.

Source, target and output share a table, and embeddings are multiplied by √D (§3.4). Unlike the authors' code, all four
projections have a bias, as in most later ones; there is no final norm, as post-LN needs none, unless it is asked for.
The stacks' weights have the names of torch.nn.Transformer's, which has no tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import nn

from weft.models.family import FAMILIES, Family
from weft.models.pair import DEBUG, SMALL, Side, pair
from weft.models.published import Table
from weft.nn import MLP, Attention, Embed, EncoderDecoder, LMHead, Residual, initialise
from weft.nn.norm import LayerNorm
from weft.nn.scheme import Scheme, SinusoidScheme


@dataclass(frozen=True)
class Transformer:
    vocab: int = 37000
    context: int = 512
    width: int = 512
    encoder_depth: int = 6
    decoder_depth: int = 6
    heads: int = 8
    hidden: int = 2048
    act: str = "relu"
    eps: float = 1e-6
    dropout: float = 0.1
    attention_dropout: float | None = None  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    tied: bool = True  # source = target = output; False: three tables
    last_norm: bool = False  # after the last layer of each side, as torch.nn.Transformer has


def build(c: Transformer, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> EncoderDecoder:
    scheme, norm = position or SinusoidScheme(), partial(LayerNorm, c.width, eps=c.eps)
    rate = c.dropout if c.attention_dropout is None else c.attention_dropout
    mlp = partial(MLP, c.width, c.hidden, act=c.act, dropout=c.dropout)

    def side(depth: int, own: bool) -> Side:
        stem, scale = scheme.stem(c.width, c.context), c.width**0.5
        embed = Embed(c.vocab, c.width, position=stem, scale=scale, dropout=c.dropout, own=own)
        return Side(embed, depth, c.heads, mlp)

    return pair(
        scheme, attention, side(c.encoder_depth, True), side(c.decoder_depth, not c.tied), rate=rate,
        residual=lambda branch: Residual(branch, after=norm(), drop=c.dropout),
        norm=norm if c.last_norm else nn.Identity, head=LMHead(c.width, c.vocab, tied=c.tied),
    )  # fmt: skip


def draw(module: nn.Module, c: Transformer) -> None:
    initialise.xavier(module)


# fmt: off
def looks(ours: str, theirs: str) -> Table:
    """An attention of torch's, whose three projections are one tensor."""
    return (
        (f"{ours}.branch.{{q,k,v}}.weight", f"{theirs}.in_proj_weight", "join"),
        (f"{ours}.branch.{{q,k,v}}.bias", f"{theirs}.in_proj_bias", "join"),
        (f"{ours}.branch.out", f"{theirs}.out_proj", ""),
    )


FAMILIES.register("transformer", Family(
    name="transformer", config=Transformer, build=build, initialise=draw,
    sizes={"debug": DEBUG | dict(decoder_depth=2), "small": SMALL | dict(decoder_depth=3), "base": dict()},
    objective="translate",
    weights=(
        ("embed.weight", "embed.weight", ""), ("target.weight", "target.weight", "optional"),
        ("head.weight", "head.weight", "optional"), ("{encoder,decoder}.norm", "{encoder,decoder}.norm", "optional"),
        *looks("encoder.layers.*.attn", "encoder.layers.*.self_attn"),
        ("encoder.layers.*.{attn,mlp}.after", "encoder.layers.*.{norm1,norm2}", ""),
        ("encoder.layers.*.mlp.branch.{up,down}", "encoder.layers.*.{linear1,linear2}", ""),
        *looks("decoder.layers.*.attn", "decoder.layers.*.self_attn"),
        *looks("decoder.layers.*.cross", "decoder.layers.*.multihead_attn"),
        ("decoder.layers.*.{attn,cross,mlp}.after", "decoder.layers.*.{norm1,norm2,norm3}", ""),
        ("decoder.layers.*.mlp.branch.{up,down}", "decoder.layers.*.{linear1,linear2}", ""),
    ),
    summary="encoder–decoder, post-LN, sinusoids, three-way tying",
))
