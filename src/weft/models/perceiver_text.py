"""Perceiver IO (Jaegle et al. 2022) on text, bytes above all: which token stands at each place of a row of which some
were hidden.

An output query for every place, told by a trained position alone, asks the latents; what it finds is held against the
embeddings. A row of any length costs as much between the first look and the last. Where we differ from the reference:
it asks for all places of the context, however short the row, and so its scores are as many.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from weft.models.family import FAMILIES, Family
from weft.models.latents import DEBUG, EveryPlace, Latent, Perceiver, looking, perceiver, start
from weft.models.published import Key, Published
from weft.models.published_latents import INERT, KEYS, names
from weft.nn import Attention, Embed, Head, Learned, LMHead, Scheme


@dataclass(frozen=True)
class Text(Latent):
    vocab: int = 262
    context: int = 2048
    width: int = 768  # of embeddings, of queries and of what the head reads
    query_heads: int = 8
    query_qk_width: int = 256  # of the queries' look at the latents


class Scores(Head):
    """x Eᵀ + bias, E the embeddings: which token stands at each place. x [B, T, D] -> [B, T, V]."""

    def __init__(self, width: int, vocab: int) -> None:
        super().__init__()
        self.out = LMHead(width, vocab, bias=True, tied=True)

    def forward(self, x: Tensor, table: Tensor | None = None) -> Tensor:
        return self.out(x, table)  # [B, T, V]

    def nats(self, x: Tensor, labels: Tensor, table: Tensor | None = None, *, ignored: int = -100) -> Tensor:
        """See `LMHead.nats`: all scores are never held."""
        return self.out.nats(x, labels, table, ignored=ignored)


def build(c: Text, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Perceiver:
    embed = Embed(c.vocab, c.width, position=Learned(c.context, c.width) if position is None else None)
    ask = looking(c.width, c.latent_width, c.query_heads, c.query_qk_width, c.width, widening=1, act=c.act, skip=False,
                  rate=c.attention_dropout, drop=c.dropout)  # fmt: skip
    heads, queries = {"masked": Scores(c.width, c.vocab)}, EveryPlace(c.context, c.width)
    return perceiver(c, embed, c.width, position, attention, heads, queries, ask)


# fmt: off
READ = "perceiver.input_preprocessor"
FAMILIES.register("perceiver_text", Family(
    name="perceiver_text", config=Text, build=build, initialise=start, objective="masked", packs=False,
    swaps=("attention",),
    sizes={
        "debug": DEBUG | dict(vocab=131, context=64, width=48, cross_heads=4),
        "small": dict(vocab=384, context=512, width=256, latents=128, latent_width=384, depth=6, heads=6, cross_heads=8,
                      widening=2, cross_widening=2, attention_dropout=0.0),
        "base": dict(qk_width=256, v_width=1280),
    },
    weights=(
        ("embed.weight", f"{READ}.embeddings.weight", ""),
        ("embed.position.weight", f"{READ}.position_embeddings.weight", "optional"),
        *names("perceiver.decoder"),
        ("heads.masked.out.bias", "embedding_decoder.bias", ""),
    ),
    published=Published(
        "perceiver", {"PerceiverForMaskedLM": ("masked",)},
        (Key("vocab_size", "vocab", 262), Key("max_position_embeddings", "context", 2048), Key("d_model", "width", 768),
         *KEYS),
        prefix="perceiver.", training=("dropout",), inert=INERT | {"image_size"},
    ),
    summary="latents that look at a row of ids, and a query for every place of it",
))
