"""DeBERTa (He et al. 2021), first version and second: BERT with disentangled attention (`models/disentangled.py`).

The second (the third has its shape) gives keys a bias and has logarithmic buckets of distance, one projection for
content and distance, a normed table and, in its large sizes, a convolution beside the first block. `legacy` says what the
masked-token head is called in files; both are computed alike. The third's head for replaced tokens, which the reference
has no class for, is left out; and a scheme that replaces the family's own leaves plain attention, scaled by 1/√K.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from weft import nn as parts
from weft.models.disentangled import Convolved, Disentangled, DistanceTable
from weft.models.family import FAMILIES, Family
from weft.models.published import ACTIVATIONS, Found, Key, Published, Read, Seam, Tie, Twin
from weft.models.weights import Table
from weft.nn import Attention, Encoder, Scheme


# fmt: off
@dataclass(frozen=True)
class Deberta:
    vocab: int = 50265
    context: int = 512
    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    types: int | None = None
    act: str = "gelu"
    eps: float = 1e-7
    dropout: float = 0.1
    attention_dropout: float | None = None  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    absolute: bool = False  # places are added to tokens, too
    relative: bool = True  # distances are scored
    terms: tuple[str, ...] = ("c2p", "p2c")  # by what; they count in the scale in any case
    reach: int | None = None  # where distances end; None: context
    key_bias: bool = False
    buckets: int | None = None  # of distance, half of them exact; None: all are
    shared: bool = False  # queries and keys project vectors of distance, too
    normed: bool = False  # their table goes through a norm
    kernel: int | None = None  # of the convolution beside the first block
    groups: int = 1
    conv_act: str = "tanh"
    tied: bool = True
    legacy: bool = True
    tasks: tuple[str, ...] = ("masked",)  # a head for each; none: it only encodes


@dataclass(frozen=True)
class DebertaV2(Deberta):
    vocab: int = 128100
    key_bias: bool = True
    buckets: int | None = 256
    shared: bool = True
    normed: bool = True


def build(c: Deberta, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    if not set(c.terms) <= {"c2p", "p2c"} or len(set(c.terms)) < len(c.terms) or not set(c.tasks) <= {"masked"}:
        raise ValueError(f"terms = {c.terms}, but there are c2p and p2c, once each; tasks = {c.tasks}: there is masked")
    scheme = position or (parts.LearnedScheme() if c.absolute else Scheme())
    head_width, norm = c.width // c.heads, partial(parts.LayerNorm, c.width, eps=c.eps)
    own = c.relative and position is None and attention is Attention
    place = scheme.field(c.heads, head_width, bidirectional=True)
    if own:
        place = DistanceTable(c.width, c.reach or c.context, buckets=c.buckets, norm=norm() if c.normed else None)
    how: dict[str, Any] = dict(
        bias="qkvo" if c.key_bias else "qvo", scale=None if position else (head_width * (1 + len(c.terms))) ** -0.5,
        dropout=c.dropout if c.attention_dropout is None else c.attention_dropout,
    )

    def look() -> Attention:
        if own:
            return Disentangled(c.width, c.heads, terms=c.terms, shared=c.shared, forget=c.dropout, **how)
        return attention(c.width, c.heads, relative=scheme.relative(c.heads, head_width, bidirectional=True), **how)

    def layer(number: int) -> parts.Block:
        attn = parts.Residual(look(), after=norm(), drop=c.dropout)
        mlp = parts.Residual(parts.MLP(c.width, c.hidden, act=c.act), after=norm(), drop=c.dropout)
        if number or c.kernel is None:
            return parts.Block(attn=attn, mlp=mlp)
        conv: dict[str, Any] = dict(width=c.width, kernel=c.kernel, groups=c.groups, act=c.conv_act)
        return Convolved(attn, mlp, **conv, drop=c.dropout, after=norm())

    stack = parts.Stack([layer(i) for i in range(c.depth)], fields={"self": parts.Field(place, parts.Full())})
    stem = scheme.stem(c.width, c.context)
    embed = parts.Embed(c.vocab, c.width, position=stem, norm=norm(), dropout=c.dropout, types=c.types or 0)
    masked = partial(parts.TokenHead, c.width, c.vocab, act=c.act, tied=c.tied or not c.legacy)
    return Encoder(embed, stack, {task: masked(norm=norm()) for task in c.tasks})


def _read(counts: Mapping[str, str], theirs: Mapping[str, Any]) -> Read:
    """Terms as a list or in one word, and counts that are 0 or -1 for none."""
    terms = theirs.get("pos_att_type", ())
    terms = [term.strip() for term in terms.lower().split("|")] if isinstance(terms, str) else terms
    if (size := theirs.get("attention_head_size")) and size * theirs["num_attention_heads"] != theirs["hidden_size"]:
        raise ValueError(f"attention_head_size is {size}: heads of it do not make up the width, as they must")
    return Read({"terms": list(terms)} | {ours: max(theirs.get(name, 0), 0) or None for name, ours in counts.items()})


def _write(counts: Mapping[str, str], c: Deberta, position: Scheme | None) -> dict[str, Any] | None:
    if position is not None:
        return None
    return {"pos_att_type": list(c.terms)} | {name: getattr(c, ours) or 0 for name, ours in counts.items()}


def _published(kind: str, sizes: tuple[int, ...], more: tuple[Key, ...], counts: Mapping[str, str]) -> Published:
    """sizes: of their default config."""
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    ours = ("vocab", "width", "depth", "heads", "hidden")
    return Published(
        model_type={"Deberta": "deberta", "DebertaV2": "deberta-v2"}[kind],
        classes={f"{kind}ForMaskedLM": ("masked",), f"{kind}Model": ()},
        keys=(
            *map(Key, names, ours, sizes), Key("max_position_embeddings", "context", 512),
            Key("hidden_act", "act", "gelu", words=ACTIVATIONS), Key("layer_norm_eps", "eps", 1e-7),
            Key("hidden_dropout_prob", "dropout", 0.1),
            Key("attention_probs_dropout_prob", "attention_dropout", 0.1, follows="dropout"),
            Key("relative_attention", "relative", False), Key("position_biased_input", "absolute", True),
            Key("tie_word_embeddings", "tied", True), Key("legacy", "legacy", True), *more,
        ),
        seam=Seam(
            ("pos_att_type", "attention_head_size", *counts), ("terms", *counts.values()),
            partial(_read, counts), partial(_write, counts),
        ),
        only={"talking_head": (False,)}, heads="tasks", prefix="deberta.", bare=frozenset({f"{kind}Model"}),
        inert=frozenset({"pooler_dropout", "pooler_hidden_act", "pooler_hidden_size", "cls_dropout", "padding_idx"}),
        ties=(Tie("cls.predictions.decoder.weight", "deberta.embeddings.word_embeddings.weight", "tied"),),
        twins=(Twin("cls.predictions.decoder.bias", "cls.predictions.bias", "tied"),),
        found=(
            Found("cls.predictions.transform.dense.weight", "legacy"),
            Found("cls.predictions.transform.dense.weight", "tasks", "masked"),
            Found("lm_predictions.lm_head.dense.weight", "tasks", "masked"),
        ),
        ignored=("deberta.embeddings.position_ids", "deberta.embeddings.position_embeddings.weight", *(
            f"{part}.{end}" for end in ("weight", "bias")
            for part in ("deberta.encoder.LayerNorm", *(f"mask_predictions.{x}" for x in ("dense", "LayerNorm", "classifier")))
        )),
    )


def _table(attention: Callable[[Deberta], Table], c: Deberta) -> Table:
    """attention: rows of a layer's projections."""
    heads = [
        (f"heads.masked.{ours}", f"{head}{theirs}", "optional")
        for head, dense in (("cls.predictions.", "transform."), ("lm_predictions.lm_head.", ""))[:: 1 if c.legacy else -1]
        for ours, theirs in (("{dense,norm}", dense + "{dense,LayerNorm}"), ("out.bias", "bias"))
    ]
    layer, theirs = "stack.layers.*.", "deberta.encoder.layer.*."
    table = [
        ("embed.weight", "deberta.embeddings.word_embeddings.weight", ""),
        ("embed.types.weight", "deberta.embeddings.token_type_embeddings.weight", "optional"),
        ("embed.norm", "deberta.embeddings.LayerNorm", ""),
        ("stack.fields.self.position.weight", "deberta.encoder.rel_embeddings.weight", "optional"),
        *((f"{layer}attn.branch.{a}", f"{theirs}attention.self.{b}", how) for a, b, how in attention(c)),
        (f"{layer}attn.branch.out", f"{theirs}attention.output.dense", ""),
        (f"{layer}attn.after", f"{theirs}attention.output.LayerNorm", ""),
        (f"{layer}mlp.branch.{{up,down}}", f"{theirs}{{intermediate,output}}.dense", ""),
        (f"{layer}mlp.after", f"{theirs}output.LayerNorm", ""),
        ("stack.layers.0.{conv,after}", "deberta.encoder.conv.{conv,LayerNorm}", "optional"),
        *heads, ("heads.masked.out.weight", "cls.predictions.decoder.weight", "optional"),
    ]
    if c.absolute:  # else files may have them all the same, without use
        table.append(("embed.position.weight", "deberta.embeddings.position_embeddings.weight", ""))
    if c.relative and c.normed:
        table.append(("stack.fields.self.position.norm", "deberta.encoder.LayerNorm", ""))
    return table


COUNTS = {"type_vocab_size": "types", "max_relative_positions": "reach"}
DEBUG: dict[str, Any] = dict(vocab=131, context=64, width=48, depth=2, heads=4, hidden=96, dropout=0.0)
SMALL: dict[str, Any] = dict(vocab=4096, context=256, width=384, depth=6, heads=6, hidden=1536, dropout=0.0)
WHOLE = partial(Family, build=build, initialise=lambda module, c: parts.initialise.normal(module), objective="masked")
FAMILIES.register("deberta", WHOLE(
    name="deberta", config=Deberta, sizes={"debug": DEBUG, "small": SMALL, "base": dict()},
    published=_published("Deberta", (50265, 768, 12, 12, 3072), (), COUNTS),
    weights=partial(_table, lambda c: (
        ("{q,k,v}.weight", "in_proj.weight", f"join {c.heads}"), ("{q,v}.bias", "{q,v}_bias", ""),
        ("place_k", "pos_proj", "optional"), ("place_q", "pos_q_proj", "optional"),
    )),
    summary="encoder, disentangled attention: content and distance are scored apart",
))
FAMILIES.register("deberta_v2", WHOLE(
    name="deberta_v2", config=DebertaV2,
    sizes={"debug": DEBUG | dict(buckets=12, kernel=3, conv_act="gelu"), "small": SMALL | dict(buckets=64), "v3-base": dict()},
    published=_published("DebertaV2", (128100, 1536, 24, 24, 6144), (
        Key("share_att_key", "shared", False), Key("norm_rel_ebd", "normed", "none", words={"none": False, "layer_norm": True}),
        Key("conv_groups", "groups", 1), Key("conv_act", "conv_act", "tanh", words=ACTIVATIONS),
    ), COUNTS | {"position_buckets": "buckets", "conv_kernel_size": "kernel"}),
    weights=partial(_table, lambda c: (
        ("{q,k,v}", "{query,key,value}_proj", ""),
        ("place_k", "pos_key_proj", "optional"), ("place_q", "pos_query_proj", "optional"),
    )),
    summary="the same with logarithmic buckets of distance and shared projections; the third version, too",
))
