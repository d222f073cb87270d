"""BERT (Devlin et al. 2018): a post-LN encoder that sees both ways, with token types and heads by name; and SpanBERT.

`tasks` says which heads there are: "masked" (which token stood at each place) and "next_sentence" (from a row's pooled
vector: 0, the second sentence follows the first; 1, it does not). The first of them answers where none is named. Unlike
the authors', initial weights are not cut off at two standard deviations.

Folders whose `position_embedding_type` is "relative_key" or "relative_key_query" have vectors of distance in each layer
and a table of positions that nothing reads. The reference library wrote them until version 4 and reads them no more.

SpanBERT (Joshi et al. 2020) has one sentence a row and, beside "masked", the head "span": the tokens of a span from the
states just outside it, see `SpanHead`. What its authors published is read as a BERT, which it then is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from weft.models.bidirectional import DEBUG, SMALL, Bidirectional, body, encoder, keys, start, token_head
from weft.models.family import FAMILIES, Family
from weft.models.published import Found, Key, Published, Read, Seam, Tie, Twin
from weft.nn import (
    Attention,
    Encoder,
    LayerNorm,
    LearnedScheme,
    RelativeKeyScheme,
    RowHead,
    Scheme,
    SpanHead,
    TokenHead,
)


@dataclass(frozen=True)
class Bert(Bidirectional):
    types: int = 2
    pooler: bool = True  # a vector for each row, from its first place
    tasks: tuple[str, ...] = ("masked", "next_sentence")


@dataclass(frozen=True)
class SpanBert(Bert):
    pooler: bool = False
    tasks: tuple[str, ...] = ("masked", "span")
    longest: int = 10  # places of a span that are told apart
    place: int = 200  # the width of their vectors


def build(c: Bert, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    heads = {"masked": partial(token, c), "next_sentence": partial(RowHead, c.width, 2)}
    return encoder(c, position or LearnedScheme(), attention, heads, types=c.types, pooler=c.pooler)


def build_span(c: SpanBert, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    heads = {"masked": partial(token, c), "span": partial(span, c)}
    return encoder(c, position or LearnedScheme(), attention, heads, types=c.types, pooler=c.pooler)


def token(c: Bert) -> TokenHead:
    return TokenHead(c.width, c.vocab, act=c.act, norm=LayerNorm(c.width, eps=c.eps), tied=c.tied)


def span(c: SpanBert) -> SpanHead:
    return SpanHead(token(c), longest=c.longest, place=c.place, act=c.act, norm=LayerNorm(c.width, eps=c.eps))


# fmt: off
KEY, BOTH = "relative_key", "relative_key_query"
TABLE = "bert.embeddings.position_embeddings.weight"


def _read(theirs: Mapping[str, Any]) -> Read:
    """A scheme of each layer's own: distances are told apart as far as a row is long."""
    kind, longest = theirs.get("position_embedding_type", "absolute"), theirs.get("max_position_embeddings", 512)
    if kind == "absolute":
        return Read({})
    if kind not in (KEY, BOTH) or not isinstance(longest, int) or longest < 2:
        raise ValueError(
            f"position_embedding_type is {kind!r}, max_position_embeddings {longest!r}; understood are absolute, "
            f"{KEY} and {BOTH}, these of rows of at least 2"
        )
    return Read({}, RelativeKeyScheme(longest - 1, both=kind == BOTH), dead=(TABLE,))


def _write(c: Bert, position: Scheme | None) -> dict[str, Any] | None:
    if position is None:
        return {}
    if not isinstance(position, RelativeKeyScheme) or position.distance != c.context - 1:
        return None
    return {"position_embedding_type": BOTH if position.both else KEY}


PUBLISHED = Published(
    model_type="bert",
    classes={
        "BertForPreTraining": ("masked", "next_sentence"), "BertForMaskedLM": ("masked",),
        "BertForNextSentencePrediction": ("next_sentence",), "BertModel": (),
    },
    keys=(*keys(Bert()), Key("max_position_embeddings", "context", 512), Key("type_vocab_size", "types", 2)),
    only={"pooler_type": ("first_token_transform",)},
    inert=frozenset({  # of the authors' own files; nothing reads them
        "directionality", "output_past", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
        "pooler_size_per_head",
    }),
    heads="tasks", prefix="bert.", bare=frozenset({"BertModel"}),
    seam=Seam(("position_embedding_type",), (), _read, _write),
    ties=(Tie("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight", "tied"),),
    twins=(Twin("cls.predictions.decoder.bias", "cls.predictions.bias", "tied"),),
    found=(
        Found("bert.pooler.dense.weight", "pooler"),
        Found("cls.predictions.transform.dense.weight", "tasks", "masked"),
        Found("cls.seq_relationship.weight", "tasks", "next_sentence"),
    ),
    ignored=("bert.embeddings.position_ids", "bert.embeddings.token_type_ids"),
    renamed=((".gamma", ".weight"), (".beta", ".bias")),
)
MASKED: dict[str, Any] = dict(pooler=False, tasks=["masked"])  # what is trained on masked tokens alone
FAMILIES.register("bert", Family(
    name="bert", config=Bert, build=build, initialise=start,
    sizes={"debug": DEBUG | MASKED, "small": SMALL | MASKED, "base": dict()},
    objective="masked", published=PUBLISHED,
    weights=(
        *body("bert"),
        ("stack.layers.*.attn.branch.relative.weight", "bert.encoder.layer.*.attention.self.distance_embedding.weight",
         "optional"),
        *token_head("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm",
                    "cls.predictions.decoder.weight", "cls.predictions.bias"),
        ("heads.next_sentence.out", "cls.seq_relationship", "optional"),
    ),
    summary="encoder, post-LN, learned positions, token types, masked-token and next-sentence heads",
))
FAMILIES.register("spanbert", Family(
    name="spanbert", config=SpanBert, build=build_span, initialise=start,
    sizes={"debug": DEBUG | MASKED | dict(place=16), "small": SMALL | MASKED | dict(place=64), "base": dict()},
    objective="masked", summary="BERT with a head for the tokens of a span, from the states just outside it",
))
