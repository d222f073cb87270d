"""ELECTRA (Clark et al. 2020): BERT's encoder, twice: a generator fills masked tokens in, a discriminator says which.

One family for both; `tasks` says which it is: "masked" (the generator, whose head's activation is gelu whatever the
layers' is) or "replaced" (the discriminator: one score a place, above 0 for a token that is not the author's).
Embeddings narrower than the model are widened by a projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from weft.models.bidirectional import DEBUG, SMALL, Bidirectional, body, encoder, keys, start, token_head
from weft.models.family import FAMILIES, Family
from weft.models.published import Found, Key, Published, Tie
from weft.nn import Attention, Encoder, LayerNorm, LearnedScheme, Linear, PlaceHead, Scheme, TokenHead


@dataclass(frozen=True)
class Electra(Bidirectional):
    width: int = 256
    heads: int = 4
    hidden: int = 1024
    types: int = 2
    inner: int = 128  # the width of the embeddings


def build(c: Electra, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    norm = LayerNorm(c.inner, eps=c.eps)
    heads = {
        "masked": partial(TokenHead, c.width, c.vocab, inner=c.inner, norm=norm, tied=c.tied),
        "replaced": partial(PlaceHead, c.width, act=c.act),
    }
    lift = None if c.inner == c.width else Linear(c.inner, c.width)
    return encoder(c, position or LearnedScheme(), attention, heads, types=c.types, inner=c.inner, lift=lift)


# fmt: off
PUBLISHED = Published(
    model_type="electra",
    classes={"ElectraForPreTraining": ("replaced",), "ElectraForMaskedLM": ("masked",), "ElectraModel": ()},
    keys=(
        *keys(Electra()), Key("max_position_embeddings", "context", 512), Key("type_vocab_size", "types", 2),
        Key("embedding_size", "inner", 128),
    ),
    only={"position_embedding_type": ("absolute",)},
    inert=frozenset({  # of a head for whole rows, which a task's fine-tuning adds
        "output_past", "summary_activation", "summary_first_dropout", "summary_last_dropout", "summary_type",
        "summary_use_proj",
    }),
    heads="tasks", prefix="electra.", bare=frozenset({"ElectraModel"}),
    ties=(Tie("generator_lm_head.weight", "electra.embeddings.word_embeddings.weight", "tied"),),
    found=(
        Found("generator_predictions.dense.weight", "tasks", "masked"),
        Found("discriminator_predictions.dense.weight", "tasks", "replaced"),
    ),
    ignored=("electra.embeddings.position_ids", "electra.embeddings.token_type_ids"),
)
FAMILIES.register("electra", Family(
    name="electra", config=Electra, build=build, initialise=start,
    sizes={
        "debug": DEBUG | dict(inner=24), "small": SMALL | dict(inner=128),
        "base": dict(width=768, heads=12, hidden=3072, inner=768, tasks=["replaced"]),
    },
    objective="masked", published=PUBLISHED,
    weights=(
        *body("electra"), ("embed.lift", "electra.embeddings_project", "optional"),
        *token_head("generator_predictions.dense", "generator_predictions.LayerNorm",
                    "generator_lm_head.weight", "generator_lm_head.bias"),
        ("heads.replaced.{dense,out}", "discriminator_predictions.{dense,dense_prediction}", "optional"),
    ),
    summary="BERT's encoder as generator (masked tokens) or discriminator (replaced ones), narrow embeddings",
))
