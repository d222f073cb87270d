"""BART (Lewis et al. 2020) and its kin: encoder–decoders that differ in where norms stand and how places are told.

| | norms | of the embedding | places |
|---|---|---|---|
| BART | after each sum | yes | learned |
| mBART (Liu et al. 2020) | before each branch, and after the last | yes | learned |
| Pegasus (Zhang et al. 2020) | before each branch, and after the last | no | sinusoids, all sines first |
| Marian (Junczys-Dowmunt et al. 2018) | after each sum | no | sinusoids, all sines first |

Source, target and output read one table, or each its own; Marian's two languages may have two vocabularies. Unlike in
the reference, no layer is ever left out in training (`encoder_layerdrop`), and padding's vector learns as any other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from torch import nn

from weft.models.family import FAMILIES, Family, draw
from weft.models.pair import DEBUG, SMALL, Side, pair
from weft.models.published import Key, Published
from weft.models.published_bart import KEYS, ONE, PLACES, SPARE, TIED, kin, names, tables
from weft.nn import MLP, Attention, Branch, Embed, EncoderDecoder, LayerNorm, LMHead, Residual
from weft.nn.scheme import LearnedScheme, Scheme, SinusoidHalvesScheme


@dataclass(frozen=True)
class Bart:
    vocab: int = 50265
    target_vocab: int | None = None  # None: vocab
    context: int = 1024
    width: int = 1024
    encoder_depth: int = 12
    decoder_depth: int | None = None  # None: encoder_depth
    heads: int = 16
    decoder_heads: int | None = None  # None: heads
    hidden: int = 4096
    decoder_hidden: int | None = None  # None: hidden
    act: str = "gelu"
    eps: float = 1e-5
    dropout: float = 0.1
    attention_dropout: float | None = 0.0  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    hidden_dropout: float = 0.0  # inside the feed-forward
    scaled: bool = False  # embeddings are multiplied by √width
    shared: bool = True  # source and target read one table
    tied: bool = True  # the output reads the target's
    bias: bool = True  # of the scores
    scheme: ClassVar[Scheme] = LearnedScheme(offset=2)
    norm_place: ClassVar[str] = "after"  # where a branch's norm stands, see `Residual`
    embedding_norm: ClassVar[type[nn.Module]] = LayerNorm
    final_norm: ClassVar[type[nn.Module]] = nn.Identity  # after the last layer


class MBart(Bart):
    norm_place, final_norm = "pre", LayerNorm


class Pegasus(MBart):
    scheme, embedding_norm = SinusoidHalvesScheme(), nn.Identity


class Marian(Bart):
    scheme, embedding_norm = SinusoidHalvesScheme(), nn.Identity


def build(c: Bart, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> EncoderDecoder:
    scheme, target_vocab = position or c.scheme, c.target_vocab or c.vocab
    if c.shared and target_vocab != c.vocab:
        raise ValueError(f"target_vocab = {target_vocab}, vocab = {c.vocab} cannot be one table: set shared to false")
    rate = c.dropout if c.attention_dropout is None else c.attention_dropout

    def residual(branch: Branch) -> Residual:
        return Residual(branch, drop=c.dropout, **{c.norm_place: LayerNorm(c.width, eps=c.eps)})  # pyright: ignore

    def embed(vocab: int, own: bool) -> Embed:
        stem, scale = scheme.stem(c.width, c.context), c.width**0.5 if c.scaled else 1.0
        norm = c.embedding_norm(c.width, eps=c.eps)
        return Embed(vocab, c.width, position=stem, scale=scale, norm=norm, dropout=c.dropout, own=own)

    def side(table: Embed, depth: int, heads: int, hidden: int) -> Side:
        return Side(table, depth, heads, partial(MLP, c.width, hidden, act=c.act, dropout=c.hidden_dropout))

    source = side(embed(c.vocab, True), c.encoder_depth, c.heads, c.hidden)
    words = embed(target_vocab, not c.shared)
    target = side(words, c.decoder_depth or c.encoder_depth, c.decoder_heads or c.heads, c.decoder_hidden or c.hidden)
    return pair(
        scheme, attention, source, target, rate=rate, residual=residual,
        norm=partial(c.final_norm, c.width, eps=c.eps),
        head=LMHead(c.width, target_vocab, bias=c.bias, tied=c.tied),
    )  # fmt: skip


# fmt: off
def family(kind: type[Bart], published: Published, summary: str, **sizes: dict[str, Any]) -> Family:
    return Family(
        name=published.model_type, config=kind, build=build, initialise=draw,
        sizes={"debug": DEBUG, "small": SMALL, **sizes}, objective="translate", published=published,
        weights=partial(names, kind.norm_place), summary=f"encoder–decoder, {summary}",
    )


MARIAN = replace(
    kin("Marian", (False,) * 3 + (True,), (replace(SPARE, like=""), *PLACES), head="MTModel"), seam=tables(TIED, ONE),
    keys=(replace(KEYS[0], default=58101), *KEYS[1:], Key("decoder_vocab_size", "target_vocab", None, follows="vocab")),
)
FAMILIES.register("bart", family(
    Bart, kin("Bart", (False, False, True, False), (SPARE,)), "post-LN, learned positions",
    base=dict(width=768, encoder_depth=6, heads=12, hidden=3072), large={},
))
FAMILIES.register("mbart", family(
    MBart, kin("MBart", (True, True, True, False), (SPARE,)), "pre-LN, learned positions",
    large=dict(vocab=250027, scaled=True),
))
FAMILIES.register("pegasus", family(
    Pegasus, kin("Pegasus", (True, True, False, True), (SPARE, *PLACES)), "pre-LN, sinusoids",
    large=dict(vocab=96103, encoder_depth=16, act="relu", scaled=True),
))
FAMILIES.register("marian", family(
    Marian, MARIAN, "post-LN, sinusoids, one vocabulary or two",
    base=dict(vocab=58101, context=512, width=512, encoder_depth=6, heads=8, hidden=2048, act="silu", scaled=True),
))
