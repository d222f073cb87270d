"""RoBERTa (Liu et al. 2019) and XLM-R (Conneau et al. 2020): BERT's encoder, trained on masked tokens alone.

The table of positions begins with rows that no token reads: a row's first token reads row `first`, the one behind the
padding id's. The reference counts the tokens that are not the padding id; we go by where a token sits, so that what is
padding is for the lengths to say. The head's activation is gelu whatever the layers' is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from weft.models.bidirectional import DEBUG, SMALL, Bidirectional, body, encoder, keys, start, token_head
from weft.models.family import FAMILIES, Family
from weft.models.published import Found, Key, Published, Read, Seam, Tie, Twin
from weft.models.weights import Table
from weft.nn import Attention, Encoder, LayerNorm, LearnedScheme, Scheme, TokenHead


@dataclass(frozen=True)
class Roberta(Bidirectional):
    vocab: int = 50265
    types: int = 2
    first: int = 2  # the row of positions that a row's first token reads: the padding id and 1
    pooler: bool = False


@dataclass(frozen=True)
class XlmRoberta(Roberta):
    vocab: int = 30522


def build(c: Roberta, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    norm = LayerNorm(c.width, eps=c.eps)
    heads = {"masked": partial(TokenHead, c.width, c.vocab, norm=norm, tied=c.tied)}
    return encoder(c, position or LearnedScheme(c.first), attention, heads, types=c.types, pooler=c.pooler)


# fmt: off
LONGEST, PAD = "max_position_embeddings", "pad_token_id"


def _read(theirs: Mapping[str, Any]) -> Read:
    """The table's rows as those before the first token's and those that tokens read."""
    rows, pad = theirs.get(LONGEST, 512), theirs.get(PAD, 1)
    for name, value in ((LONGEST, rows), (PAD, pad)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError(f"{name} is {value!r}, but it must be a whole number of at least 0")
    if rows <= pad + 1:
        raise ValueError(f"{LONGEST} is {rows}: with {PAD} {pad} positions begin at {pad + 1}, so that none is left")
    return Read(dict(context=rows - pad - 1, first=pad + 1))


def _write(c: Roberta, position: Scheme | None) -> dict[str, Any] | None:
    return {LONGEST: c.context + c.first, PAD: c.first - 1} if position is None else None


def published(model_type: str, kind: str, c: Roberta) -> Published:
    """Both are published alike; missing fields mean what they are in c."""
    return Published(
        model_type=model_type, classes={f"{kind}ForMaskedLM": ("masked",), f"{kind}Model": ()},
        keys=(*keys(c), Key("type_vocab_size", "types", c.types)),
        seam=Seam((LONGEST, PAD), ("context", "first"), _read, _write), only={"position_embedding_type": ("absolute",)},
        inert=frozenset({"output_past"}), heads="tasks", prefix="roberta.", bare=frozenset({f"{kind}Model"}),
        ties=(Tie("lm_head.decoder.weight", "roberta.embeddings.word_embeddings.weight", "tied"),),
        twins=(Twin("lm_head.decoder.bias", "lm_head.bias", "tied"),),
        found=(Found("roberta.pooler.dense.weight", "pooler"), Found("lm_head.dense.weight", "tasks", "masked")),
        ignored=("roberta.embeddings.position_ids", "roberta.embeddings.token_type_ids"),
    )


WEIGHTS: Table = (
    *body("roberta"), *token_head("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder.weight", "lm_head.bias"),
)
FAMILIES.register("roberta", Family(
    name="roberta", config=Roberta, build=build, initialise=start,
    sizes={"debug": DEBUG | dict(types=1), "small": SMALL | dict(types=1), "base": dict(types=1)},
    objective="masked", published=published("roberta", "Roberta", Roberta()), weights=WEIGHTS,
    summary="BERT's encoder, masked tokens alone, positions behind the padding id's",
))
FAMILIES.register("xlm_roberta", Family(
    name="xlm_roberta", config=XlmRoberta, build=build, initialise=start,
    sizes={"debug": DEBUG | dict(types=1), "small": SMALL | dict(types=1), "base": dict(vocab=250002, types=1)},
    objective="masked", published=published("xlm-roberta", "XLMRoberta", XlmRoberta()), weights=WEIGHTS,
    summary="RoBERTa in a hundred languages",
))
