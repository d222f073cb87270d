"""RoBERTa (Liu et al. 2019) and XLM-R (Conneau et al. 2020): BERT's encoder, trained on masked tokens alone.

The table of positions begins with rows before the first token's, which reads row `first`: the padding id and 1. As in
the reference a token stands behind those of its document that are not the padding id, wherever in the row that is; a
padding id itself reads the row of its number. The head's activation is gelu whatever the layers' is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from weft.models.bidirectional import DEBUG, SMALL, Bidirectional, body, encoder, keys, masked, published, token
from weft.models.family import FAMILIES, Family, draw
from weft.models.published import Found, Published, Read, Seam
from weft.nn import Attention, Encoder, Layout, Learned, LearnedScheme, Scheme
from weft.nn.layout import restart


@dataclass(frozen=True)
class Roberta(Bidirectional):
    vocab: int = 50265
    first: int = 2  # the row of positions that a first token reads: the padding id and 1


@dataclass(frozen=True)
class XlmRoberta(Roberta):
    vocab: int = 30522


class Counted(Learned):
    """A trained vector per place, where the id before `offset` takes none: it reads the row before the first's."""

    def place(self, tokens: Tensor, here: Layout) -> Layout:
        padding = tokens == self.offset - 1  # [B, T]
        before = padding.cumsum(1) - padding.long()  # [B, T]
        before = before if here.segments is None else restart(before, here.segments)
        return replace(here, coords=torch.where(padding, -1, here.places - before))


class CountedScheme(LearnedScheme):
    def stem(self, width: int, context: int) -> Counted:
        return Counted(context, width, offset=self.offset)


def build(c: Roberta, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    return encoder(c, position or CountedScheme(c.first), attention, {"masked": partial(token, c, "gelu")})


# fmt: off
ROWS, PAD = "max_position_embeddings", "pad_token_id"


def _read(theirs: Mapping[str, Any]) -> Read:
    """The table's rows as those before the first token's and those that tokens read."""
    rows, pad = theirs.get(ROWS, 512), theirs.get(PAD, 1)
    if not (type(rows) is type(pad) is int and 0 <= pad < rows - 1):
        raise ValueError(f"{ROWS} is {rows!r} and {PAD} {pad!r}: positions begin behind it, so that none would be left")
    return Read(dict(context=rows - pad - 1, first=pad + 1))


def _write(c: Roberta, position: Scheme | None) -> dict[str, Any] | None:
    return {ROWS: c.context + c.first, PAD: c.first - 1} if position is None else None


def declared(model_type: str, kind: str, c: Roberta) -> Published:
    """Both are published alike; missing fields mean what they are in c."""
    return published(
        model_type, {f"{kind}ForMaskedLM": ("masked",), f"{kind}Model": ()}, keys(c), prefix="roberta.",
        seam=Seam((ROWS, PAD), ("context", "first"), _read, _write),
        table="lm_head.decoder.weight", bias="lm_head.decoder.bias",
        found=(Found("roberta.pooler.dense.weight", "pooler"), Found("lm_head.dense.weight", "tasks", "masked")),
    )


WEIGHTS = (*body("roberta"), *masked("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder.weight", "lm_head.bias"))
FAMILIES.register("roberta", Family(
    name="roberta", config=Roberta, build=build, initialise=draw, objective="masked", weights=WEIGHTS,
    sizes={"debug": DEBUG | dict(types=1), "small": SMALL | dict(types=1), "base": dict(types=1)},
    published=declared("roberta", "Roberta", Roberta()),
    summary="BERT's encoder, masked tokens alone, positions behind the padding id's",
))
FAMILIES.register("xlm_roberta", Family(
    name="xlm_roberta", config=XlmRoberta, build=build, initialise=draw, objective="masked", weights=WEIGHTS,
    sizes={"debug": DEBUG | dict(types=1), "small": SMALL | dict(types=1), "base": dict(vocab=250002, types=1)},
    published=declared("xlm-roberta", "XLMRoberta", XlmRoberta()), summary="RoBERTa in a hundred languages",
))
