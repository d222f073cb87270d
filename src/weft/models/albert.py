"""ALBERT (Lan et al. 2020): BERT's encoder with embeddings of a narrow width and layers that share their weights.

Layers come in groups of `repeats`; the steps are dealt out to the `groups` in equal shares, in order, and a step runs
through its whole group. Heads: "masked" and "sentence_order" (from a row's pooled vector: 0, two pieces of text in
their order; 1, exchanged). Nothing is dropped after the feed-forward, nor, where the reference does, before
"sentence_order".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from weft.models.bidirectional import DEBUG, SMALL, Bidirectional, encoder, keys, start, stem, token_head
from weft.models.family import FAMILIES, Family
from weft.models.published import Found, Key, Published, Tie, Twin
from weft.models.weights import Table
from weft.nn import Attention, Encoder, LayerNorm, LearnedScheme, Linear, RowHead, Scheme, TokenHead


@dataclass(frozen=True)
class Albert(Bidirectional):
    vocab: int = 30000
    width: int = 4096
    heads: int = 64
    hidden: int = 16384
    act: str = "gelu_tanh"
    dropout: float = 0.0
    types: int = 2
    inner: int = 128  # the width of the embeddings
    groups: int = 1
    repeats: int = 1  # layers in a group
    pooler: bool = False


def build(c: Albert, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    token = partial(TokenHead, c.width, c.vocab, inner=c.inner, act=c.act, tied=c.tied)
    heads = {
        "masked": partial(token, norm=LayerNorm(c.inner, eps=c.eps)),
        "sentence_order": partial(RowHead, c.width, 2),
    }
    group = [int(step / (c.depth / c.groups)) for step in range(c.depth)]  # in fp64, as the reference rounds
    return encoder(
        c,
        position or LearnedScheme(),
        attention,
        heads,
        types=c.types,
        pooler=c.pooler,
        inner=c.inner,
        lift=Linear(c.inner, c.width),
        layers=c.groups * c.repeats,
        order=[own * c.repeats + layer for own in group for layer in range(c.repeats)],
        drops=(c.dropout, 0.0),
    )


def weights(c: Albert) -> Table:
    """Layers are counted one after another in ours, by group in theirs."""
    rows = list(stem("albert"))
    for number in range(c.groups * c.repeats):
        ours, (group, layer) = f"stack.layers.{number}", divmod(number, c.repeats)
        theirs = f"albert.encoder.albert_layer_groups.{group}.albert_layers.{layer}"
        rows += [
            (f"{ours}.attn.branch.{{q,k,v,out}}", f"{theirs}.attention.{{query,key,value,dense}}", ""),
            (f"{ours}.attn.after", f"{theirs}.attention.LayerNorm", ""),
            (f"{ours}.mlp.branch.{{up,down}}", f"{theirs}.{{ffn,ffn_output}}", ""),
            (f"{ours}.mlp.after", f"{theirs}.full_layer_layer_norm", ""),
        ]
    return (
        *rows,
        ("embed.lift", "albert.encoder.embedding_hidden_mapping_in", ""),
        ("pooler.dense", "albert.pooler", "optional"),
        *token_head("predictions.dense", "predictions.LayerNorm", "predictions.decoder.weight", "predictions.bias"),
        ("heads.sentence_order.out", "sop_classifier.classifier", "optional"),
    )


# fmt: off
PUBLISHED = Published(
    model_type="albert",
    classes={
        "AlbertForPreTraining": ("masked", "sentence_order"), "AlbertForMaskedLM": ("masked",), "AlbertModel": (),
    },
    keys=(
        *keys(Albert()), Key("max_position_embeddings", "context", 512), Key("type_vocab_size", "types", 2),
        Key("embedding_size", "inner", 128), Key("num_hidden_groups", "groups", 1),
        Key("inner_group_num", "repeats", 1),
    ),
    only={"position_embedding_type": ("absolute",)},
    inert=frozenset({  # of the authors' own files; nothing reads them
        "classifier_dropout_prob", "down_scale_factor", "gap_size", "layers_to_keep", "net_structure_type",
        "num_memory_blocks", "output_past",
    }),
    heads="tasks", prefix="albert.", bare=frozenset({"AlbertModel"}),
    ties=(Tie("predictions.decoder.weight", "albert.embeddings.word_embeddings.weight", "tied"),),
    twins=(Twin("predictions.decoder.bias", "predictions.bias", "tied"),),
    found=(
        Found("albert.pooler.weight", "pooler"), Found("predictions.dense.weight", "tasks", "masked"),
        Found("sop_classifier.classifier.weight", "tasks", "sentence_order"),
    ),
    ignored=("albert.embeddings.position_ids", "albert.embeddings.token_type_ids"),
)
FAMILIES.register("albert", Family(
    name="albert", config=Albert, build=build, initialise=start,
    sizes={
        "debug": DEBUG | dict(inner=24), "small": SMALL | dict(inner=128),
        "base": dict(width=768, heads=12, hidden=3072), "xxlarge": dict(),
    },
    objective="masked", published=PUBLISHED, weights=weights,
    summary="BERT's encoder, one layer's weights for all, narrow embeddings, sentence order",
))
