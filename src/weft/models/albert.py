"""ALBERT (Lan et al. 2020): BERT's encoder with narrow embeddings and layers that share their weights.

Layers come in groups of `repeats`; the steps are dealt out to the `groups` in equal shares, in order, and a step runs
through its whole group. Heads: "masked" and "sentence_order" (from a row's pooled vector: 0, two pieces of text in
their order; 1, exchanged). Nothing is dropped after the feed-forward, nor, where the reference does, before that head.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from weft.models.bidirectional import DEBUG, SMALL, Bidirectional, encoder, keys, masked, published, stem, token
from weft.models.family import FAMILIES, Family, draw
from weft.models.published import Found, Key, Table
from weft.nn import Attention, Encoder, LearnedScheme, RowHead, Scheme


@dataclass(frozen=True)
class Albert(Bidirectional):
    vocab: int = 30000
    width: int = 4096
    heads: int = 64
    hidden: int = 16384
    inner: int | None = 128
    act: str = "gelu_tanh"
    dropout: float = 0.0
    groups: int = 1
    repeats: int = 1  # layers in a group


# fmt: off
def build(c: Albert, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    heads = {"masked": partial(token, c), "sentence_order": partial(RowHead, c.width, 2)}
    groups = [int(step / (c.depth / c.groups)) for step in range(c.depth)]  # in fp64, as the reference rounds
    order = [group * c.repeats + layer for group in groups for layer in range(c.repeats)]
    return encoder(c, position or LearnedScheme(), attention, heads, layers=c.groups * c.repeats, order=order,
                   drops=(c.dropout, 0.0))


def weights(c: Albert) -> Table:
    """Layers are counted one after another in ours, by group in theirs."""
    rows = list(stem("albert"))
    for number in range(c.groups * c.repeats):
        ours, (group, layer) = f"stack.layers.{number}", divmod(number, c.repeats)
        theirs = f"albert.encoder.albert_layer_groups.{group}.albert_layers.{layer}"
        rows += [
            (f"{ours}.attn.branch.{{q,k,v,out}}", f"{theirs}.attention.{{query,key,value,dense}}", ""),
            (f"{ours}.{{attn,mlp}}.after", f"{theirs}.{{attention.LayerNorm,full_layer_layer_norm}}", ""),
            (f"{ours}.mlp.branch.{{up,down}}", f"{theirs}.{{ffn,ffn_output}}", ""),
        ]
    return (
        *rows, ("embed.lift", "albert.encoder.embedding_hidden_mapping_in", ""),
        ("pooler.dense", "albert.pooler", "optional"),
        *masked("predictions.dense", "predictions.LayerNorm", "predictions.decoder.weight", "predictions.bias"),
        ("heads.sentence_order.out", "sop_classifier.classifier", "optional"),
    )


PUBLISHED = published(
    "albert",
    {"AlbertForPreTraining": ("masked", "sentence_order"), "AlbertForMaskedLM": ("masked",), "AlbertModel": ()},
    (*keys(Albert()), Key("embedding_size", "inner", 128), Key("num_hidden_groups", "groups", 1),
     Key("inner_group_num", "repeats", 1)),
    prefix="albert.", table="predictions.decoder.weight", bias="predictions.decoder.bias",
    inert=frozenset({  # of the authors' own files; nothing reads them
        "classifier_dropout_prob", "down_scale_factor", "gap_size", "layers_to_keep", "net_structure_type",
        "num_memory_blocks",
    }),
    found=(
        Found("albert.pooler.weight", "pooler"), Found("predictions.dense.weight", "tasks", "masked"),
        Found("sop_classifier.classifier.weight", "tasks", "sentence_order"),
    ),
)
FAMILIES.register("albert", Family(
    name="albert", config=Albert, build=build, initialise=draw, objective="masked", published=PUBLISHED,
    sizes={
        "debug": DEBUG | dict(inner=24), "small": SMALL, "base": dict(width=768, heads=12, hidden=3072),
        "xxlarge": dict(),
    },
    weights=weights, summary="BERT's encoder, one layer's weights for all, narrow embeddings, sentence order",
))
