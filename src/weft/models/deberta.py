"""DeBERTa (He et al. 2021), first version and second: BERT with disentangled attention (`models/disentangled.py`).

The second (the third has its shape) has logarithmic buckets of distance, one projection for content and distance, a
normed table and, where it is large, a convolution beside the first block. The third's head for replaced tokens, which
the reference has no class for, is left out. Another scheme leaves plain attention, scaled by 1/√K.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from weft.models.bidirectional import DEBUG, SMALL, Bidirectional, body, encoder, keys, masked, published, token
from weft.models.disentangled import Convolved, Disentangled, DistanceTable
from weft.models.family import FAMILIES, Family, draw
from weft.models.published import ACTIVATIONS, Found, Key, Published, Read, Seam, Table
from weft.nn import Attention, Encoder, LayerNorm, LearnedScheme, Scheme


# fmt: off
@dataclass(frozen=True)
class Deberta(Bidirectional):
    vocab: int = 50265
    types: int | None = None
    eps: float = 1e-7
    absolute: bool = False  # places are added to tokens, too
    relative: bool = True  # distances are scored
    terms: tuple[str, ...] = ("c2p", "p2c")  # content to position, position to content; the scale counts them anyway
    max_distance: int | None = None  # where distances end; None: context
    key_bias: bool = False
    buckets: int | None = None  # of distance, half of them exact; None: all are
    shared: bool = False  # queries and keys project vectors of distance, too
    normed: bool = False  # their table goes through a norm
    kernel: int | None = None  # of the convolution beside the first block
    groups: int = 1
    conv_act: str = "tanh"
    legacy_head: bool = True  # by its names in files; the newer one (False) reads the embedding, tied or not


@dataclass(frozen=True)
class DebertaV2(Deberta):
    vocab: int = 128100
    key_bias: bool = True
    buckets: int | None = 256
    shared: bool = True
    normed: bool = True


def build(c: Deberta, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    if set(c.terms) - {"c2p", "p2c"} or len(set(c.terms)) < len(c.terms):
        raise ValueError(f"terms = {c.terms} (pos_att_type): there are c2p and p2c, each at most once")
    scheme, norm = position or (LearnedScheme() if c.absolute else Scheme()), partial(LayerNorm, c.width, eps=c.eps)
    scale = None if position else (c.width // c.heads * (1 + len(c.terms))) ** -0.5
    attn = partial(attention, bias="qkvo" if c.key_bias else "qvo", scale=scale)
    disentangled = c.relative and position is None and attention is Attention
    if disentangled:
        attn = partial(Disentangled, **attn.keywords, terms=c.terms, shared=c.shared, position_dropout=c.dropout)
    head = partial(token, replace(c, tied=c.tied or not c.legacy_head))
    made = encoder(c, scheme, attn, {"masked": head})  # type: ignore[arg-type]
    if disentangled:
        table = partial(DistanceTable, c.width, c.max_distance or c.context, buckets=c.buckets)
        made.stack.fields["self"].position = table(norm=norm() if c.normed else None)
    if c.kernel is not None:
        conv = partial(Convolved, groups=c.groups, act=c.conv_act, drop=c.dropout, after=norm())
        made.stack.layers[0] = conv(made.stack.layers[0], c.width, c.kernel)
    return made


def _published(model_type: str, kind: str, c: Deberta, counts: Mapping[str, str], *more: Key) -> Published:
    """c: what missing fields mean. counts: fields that are 0 or -1 for none."""
    def read(theirs: Mapping[str, Any]) -> Read:
        terms = theirs.get("pos_att_type", ())
        terms = [term.strip() for term in terms.lower().split("|")] if isinstance(terms, str) else list(terms)
        size = theirs.get("attention_head_size")
        if size and size * theirs.get("num_attention_heads", c.heads) != theirs.get("hidden_size", c.width):
            raise ValueError(f"attention_head_size is {size}: heads of it do not make up the width, as they must")
        dead = [] if theirs.get("position_biased_input", True) else ["embeddings.position_embeddings.weight"]
        dead += [] if theirs.get("relative_attention") else ["encoder.LayerNorm.weight", "encoder.LayerNorm.bias"]
        said = {ours: theirs.get(name, 0) for name, ours in counts.items()}
        fields = {ours: None if type(count) is int and count < 1 else count for ours, count in said.items()}
        return Read({"terms": terms} | fields, dead=tuple(f"deberta.{name}" for name in dead))
    def write(c: Deberta, position: Scheme | None) -> dict[str, Any] | None:
        said = {"pos_att_type": list(c.terms), **{name: getattr(c, ours) or 0 for name, ours in counts.items()}}
        return said if position is None else None

    return published(
        model_type, {f"{kind}ForMaskedLM": ("masked",), f"{kind}Model": ()},
        (
            *(key for key in keys(c) if key.ours not in ("types", "eps")), Key("layer_norm_eps", "eps", 1e-7), *more,
            Key("relative_attention", "relative", False), Key("position_biased_input", "absolute", True),
            Key("legacy", "legacy_head", True),
        ),
        seam=Seam(("pos_att_type", "attention_head_size", *counts), ("terms", *counts.values()), read, write,
                  {ours: name for name, ours in counts.items()}),
        prefix="deberta.", table="cls.predictions.decoder.weight", bias="cls.predictions.decoder.bias",
        inert=frozenset({"pooler_dropout", "pooler_hidden_act", "pooler_hidden_size", "cls_dropout", "padding_idx"}),
        found=(
            *(Found("cls.predictions.transform.dense.weight", *it) for it in (("legacy_head",), ("tasks", "masked"))),
            Found("lm_predictions.lm_head.dense.weight", "tasks", "masked"),
        ),
        ignored=tuple(f"mask_predictions.{part}.{end}" for part in ("dense", "LayerNorm", "classifier")
                      for end in ("weight", "bias")),
    )


def _table(attention: Callable[[Deberta], Table], c: Deberta) -> Table:
    """attention: rows of a layer's projections."""
    table = "cls.predictions.decoder.weight"
    pairs = ("cls.predictions.transform.", "cls.predictions"), ("lm_predictions.lm_head.", "lm_predictions.lm_head")
    heads = [masked(f"{head}dense", f"{head}LayerNorm", table, f"{bias}.bias") for head, bias in pairs]
    return (
        *(row for row in body("deberta", attention(c)) if row[0] != "pooler.dense"),  # which it is without
        ("stack.fields.self.position.weight", "deberta.encoder.rel_embeddings.weight", "optional"),
        ("stack.fields.self.position.norm", "deberta.encoder.LayerNorm", "optional"),
        ("stack.layers.0.{conv,after}", "deberta.encoder.conv.{conv,LayerNorm}", "optional"),
        *heads[not c.legacy_head], *heads[c.legacy_head],  # the first are written, both are read
    )


COUNTS = {"type_vocab_size": "types", "max_relative_positions": "max_distance"}
FAMILIES.register("deberta", Family(
    name="deberta", config=Deberta, build=build, initialise=draw, objective="masked",
    sizes={"debug": DEBUG, "small": SMALL, "base": {}}, published=_published("deberta", "Deberta", Deberta(), COUNTS),
    weights=partial(_table, lambda c: (
        ("{q,k,v}.weight", "in_proj.weight", f"join {c.heads}"), ("{q,v}.bias", "{q,v}_bias", ""),
        ("position_k", "pos_proj", "optional"), ("position_q", "pos_q_proj", "optional"),
    )),
    summary="BERT's encoder, content and distance scored apart",
))
FAMILIES.register("deberta_v2", Family(
    name="deberta_v2", config=DebertaV2, build=build, initialise=draw, objective="masked",
    sizes={"debug": DEBUG | dict(buckets=12, kernel=3), "small": SMALL | dict(buckets=64), "v3-base": dict()},
    published=_published(
        "deberta-v2", "DebertaV2", DebertaV2(width=1536, depth=24, heads=24, hidden=6144),
        COUNTS | {"position_buckets": "buckets", "conv_kernel_size": "kernel"},
        Key("share_att_key", "shared", False), Key("conv_groups", "groups", 1),
        Key("norm_rel_ebd", "normed", "none", words={"none": False, "layer_norm": True}),
        Key("conv_act", "conv_act", "tanh", words=ACTIVATIONS),
    ),
    weights=partial(_table, lambda c: (
        ("{q,k,v}", "{query,key,value}_proj", ""),
        ("position_k", "pos_key_proj", "optional"), ("position_q", "pos_query_proj", "optional"),
    )),
    summary="the same with logarithmic buckets of distance and shared projections; the third version, too",
))
