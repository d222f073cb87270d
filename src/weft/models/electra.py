"""ELECTRA (Clark et al. 2020): BERT's encoder, twice: a generator fills in masked tokens, a discriminator says which.

One family for both; `tasks` says which it is: "masked" (the generator, whose head's activation is gelu whatever the
layers' is) or "replaced" (the discriminator: one score a place, above 0 for a token that is not the author's).
Embeddings of another width than the model's are projected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from weft.models.bidirectional import DEBUG, SMALL, Bidirectional, body, encoder, keys, masked, published, token
from weft.models.family import FAMILIES, Family, draw
from weft.models.published import Found, Key
from weft.nn import Attention, Encoder, LearnedScheme, PlaceHead, Scheme


@dataclass(frozen=True)
class Electra(Bidirectional):
    width: int = 256
    heads: int = 4
    hidden: int = 1024
    inner: int | None = 128


def build(c: Electra, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    c = replace(c, inner=None) if c.inner == c.width else c
    heads = {"masked": partial(token, c, "gelu"), "replaced": partial(PlaceHead, c.width, act=c.act)}
    return encoder(c, position or LearnedScheme(), attention, heads)


# fmt: off
PUBLISHED = published(
    "electra", {"ElectraForPreTraining": ("replaced",), "ElectraForMaskedLM": ("masked",), "ElectraModel": ()},
    (*keys(Electra()), Key("embedding_size", "inner", 128)), prefix="electra.", table="generator_lm_head.weight",
    inert=frozenset({  # of a head for whole rows, which a task's fine-tuning adds
        "summary_activation", "summary_first_dropout", "summary_last_dropout", "summary_type", "summary_use_proj",
    }),
    found=(
        Found("generator_predictions.dense.weight", "tasks", "masked"),
        Found("discriminator_predictions.dense.weight", "tasks", "replaced"),
    ),
)
FAMILIES.register("electra", Family(
    name="electra", config=Electra, build=build, initialise=draw, objective="masked", published=PUBLISHED,
    sizes={"debug": DEBUG | dict(inner=24), "small": SMALL, "base": dict(width=768, heads=12, hidden=3072, inner=768)},
    weights=(
        *body("electra"), ("embed.lift", "electra.embeddings_project", "optional"),
        *masked("generator_predictions.dense", "generator_predictions.LayerNorm",
                "generator_lm_head.weight", "generator_lm_head.bias"),
        ("heads.replaced.{dense,out}", "discriminator_predictions.{dense,dense_prediction}", "optional"),
    ),
    summary="BERT's encoder as generator (masked tokens) or discriminator (replaced ones), narrow embeddings",
))
