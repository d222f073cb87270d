"""BERT (Devlin et al. 2018): a post-LN encoder that sees both ways, with token types and heads by name; and SpanBERT.

`tasks` says which heads there are: "masked" (which token stood at each place) and "next_sentence" (from a row's pooled
vector: 0, the second sentence follows the first; 1, it does not). The first of them answers where none is named.

A folder whose `position_embedding_type` is "relative_key" or "relative_key_query" has vectors of distance in each layer
and a table of positions that nothing reads. The reference library wrote such until version 4 and reads them no more.

SpanBERT (Joshi et al. 2020) reads one sentence and has, beside "masked", the head "span": the tokens of a span from the
states just outside it, see `SpanHead`. What its authors published is a BERT's folder, and read as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from weft.models.bidirectional import DEBUG, SMALL, Bidirectional, body, encoder, keys, masked, published, token
from weft.models.family import FAMILIES, Family, draw
from weft.models.published import Found, Read, Seam
from weft.nn import Attention, Encoder, LayerNorm, LearnedScheme, RelativeKeyScheme, RowHead, Scheme, SpanHead


@dataclass(frozen=True)
class Bert(Bidirectional):
    pooler: bool = True
    tasks: tuple[str, ...] = ("masked", "next_sentence")


@dataclass(frozen=True)
class SpanBert(Bidirectional):
    tasks: tuple[str, ...] = ("masked", "span")
    longest: int = 10  # places of a span that are told apart
    place: int = 200  # the width of their vectors


def build(c: Bert, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    heads = {"masked": partial(token, c), "next_sentence": partial(RowHead, c.width, 2)}
    return encoder(c, position or LearnedScheme(), attention, heads)


def build_span(c: SpanBert, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    span = partial(SpanHead, longest=c.longest, place=c.place, act=c.act, norm=LayerNorm(c.width, eps=c.eps))
    heads = {"masked": partial(token, c), "span": lambda: span(token(c))}
    return encoder(c, position or LearnedScheme(), attention, heads)


# fmt: off
KEY, BOTH, KIND = "relative_key", "relative_key_query", "position_embedding_type"


def _read(theirs: Mapping[str, Any]) -> Read:
    """A scheme of each layer's own: distances are told apart as far as a row is long."""
    kind, longest = theirs.get(KIND, "absolute"), theirs.get("max_position_embeddings", 512)
    if kind == "absolute":
        return Read({})
    if kind not in (KEY, BOTH) or not isinstance(longest, int) or longest < 2:
        raise ValueError(f"{KIND} is {kind!r}; understood are absolute, {KEY} and {BOTH}, of rows of at least 2")
    return Read({}, RelativeKeyScheme(longest - 1, kind == BOTH), ("bert.embeddings.position_embeddings.weight",))


def _write(c: Bert, position: Scheme | None) -> dict[str, Any] | None:
    if isinstance(position, RelativeKeyScheme) and position.distance == c.context - 1:
        return {KIND: BOTH if position.both else KEY}
    return {} if position is None else None


PUBLISHED = published(
    "bert", {
        "BertForPreTraining": ("masked", "next_sentence"), "BertForMaskedLM": ("masked",),
        "BertForNextSentencePrediction": ("next_sentence",), "BertModel": (),
    },
    keys(Bert()), prefix="bert.", seam=Seam((KIND,), (), _read, _write),
    table="cls.predictions.decoder.weight", bias="cls.predictions.decoder.bias",
    inert=frozenset({  # of the authors' own files; nothing reads them
        "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
        "pooler_size_per_head",
    }),
    found=(
        Found("bert.pooler.dense.weight", "pooler"),
        Found("cls.predictions.transform.dense.weight", "tasks", "masked"),
        Found("cls.seq_relationship.weight", "tasks", "next_sentence"),
    ),
)
MASKED: dict[str, Any] = dict(pooler=False, tasks=["masked"])  # what is trained on masked tokens alone
FAMILIES.register("bert", Family(
    name="bert", config=Bert, build=build, initialise=draw, objective="masked", published=PUBLISHED,
    sizes={"debug": DEBUG | MASKED, "small": SMALL | MASKED, "base": dict()},
    weights=(
        *body("bert"),
        ("stack.layers.*.attn.branch.relative.keys", "bert.encoder.layer.*.attention.self.distance_embedding.weight",
         "optional"),
        *masked("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm",
                "cls.predictions.decoder.weight", "cls.predictions.bias"),
        ("heads.next_sentence.out", "cls.seq_relationship", "optional"),
    ),
    summary="encoder, post-LN, learned positions, token types, masked-token and next-sentence heads",
))
FAMILIES.register("spanbert", Family(
    name="spanbert", config=SpanBert, build=build_span, initialise=draw, objective="masked",
    sizes={"debug": DEBUG | MASKED, "small": SMALL | MASKED, "base": dict()},
    summary="BERT with a head for the tokens of a span, from the states just outside it",
))
