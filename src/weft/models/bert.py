"""BERT (Devlin et al. 2018): a post-LN encoder that sees both ways, with token types and heads by name.

`tasks` says which heads there are: "masked" (which token stood at each place) and "next_sentence" (from a row's pooled
vector: 0, the second sentence follows the first; 1, it does not). The first of them answers where none is named. Unlike
the authors', initial weights are not cut off at two standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from weft.models.family import FAMILIES, Family
from weft.models.published import ACTIVATIONS, Found, Key, Published, Tie, Twin
from weft.nn import (
    MLP,
    Attention,
    Block,
    Embed,
    Encoder,
    Field,
    Full,
    Head,
    LayerNorm,
    LearnedScheme,
    Pooler,
    Residual,
    RowHead,
    Scheme,
    Stack,
    TokenHead,
    initialise,
)


@dataclass(frozen=True)
class Bert:
    vocab: int = 30522
    context: int = 512
    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    types: int = 2
    act: str = "gelu"
    eps: float = 1e-12
    dropout: float = 0.1
    attention_dropout: float | None = None  # of the attention weights; None: dropout. Above 0 it takes slower kernels
    tied: bool = True
    pooler: bool = True  # a vector for each row, from its first place
    tasks: tuple[str, ...] = ("masked", "next_sentence")  # a head for each; none: it only encodes


def build(c: Bert, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    scheme, head_width = position or LearnedScheme(), c.width // c.heads
    norm = partial(LayerNorm, c.width, eps=c.eps)
    attention_dropout = c.dropout if c.attention_dropout is None else c.attention_dropout
    look = partial(attention, c.width, c.heads, dropout=attention_dropout)
    relative = partial(scheme.relative, c.heads, head_width, bidirectional=True)
    layers = [
        Block(
            attn=Residual(look(relative=relative()), after=norm(), drop=c.dropout),
            mlp=Residual(MLP(c.width, c.hidden, act=c.act), after=norm(), drop=c.dropout),
        )
        for _ in range(c.depth)
    ]
    field = Field(scheme.field(c.heads, head_width, bidirectional=True), Full())
    stem = scheme.stem(c.width, c.context)
    embed = Embed(c.vocab, c.width, position=stem, norm=norm(), dropout=c.dropout, types=c.types)
    heads = {task: head(c, task) for task in c.tasks}
    return Encoder(embed, Stack(layers, fields={"self": field}), heads, pooler=Pooler(c.width) if c.pooler else None)


def head(c: Bert, task: str) -> Head:
    """The head of one task. ValueError where there is no such task."""
    if task == "masked":
        return TokenHead(c.width, c.vocab, act=c.act, norm=LayerNorm(c.width, eps=c.eps), tied=c.tied)
    if task == "next_sentence":
        return RowHead(c.width, 2)
    raise ValueError(f"tasks = {c.tasks}, but no task is called {task!r}: there are masked and next_sentence")


# fmt: off
PUBLISHED = Published(
    model_type="bert",
    classes={
        "BertForPreTraining": ("masked", "next_sentence"), "BertForMaskedLM": ("masked",),
        "BertForNextSentencePrediction": ("next_sentence",), "BertModel": (),
    },
    keys=(
        Key("vocab_size", "vocab", 30522), Key("max_position_embeddings", "context", 512),
        Key("hidden_size", "width", 768), Key("num_hidden_layers", "depth", 12),
        Key("num_attention_heads", "heads", 12), Key("intermediate_size", "hidden", 3072),
        Key("type_vocab_size", "types", 2), Key("hidden_act", "act", "gelu", words=ACTIVATIONS),
        Key("layer_norm_eps", "eps", 1e-12), Key("hidden_dropout_prob", "dropout", 0.1),
        Key("attention_probs_dropout_prob", "attention_dropout", 0.1, follows="dropout"),
        Key("tie_word_embeddings", "tied", True),
    ),
    only={"position_embedding_type": ("absolute",), "pooler_type": ("first_token_transform",)},
    inert=frozenset({  # of the authors' own files; nothing reads them
        "directionality", "output_past", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
        "pooler_size_per_head",
    }),
    heads="tasks", prefix="bert.", bare=frozenset({"BertModel"}),
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

MASKED: dict[str, Any] = dict(pooler=False, tasks=["masked"], dropout=0.0)  # what is trained on masked tokens alone
FAMILIES.register(
    "bert",
    Family(
        name="bert", config=Bert, build=build,
        initialise=lambda module, c: initialise.normal(module, std=0.02),
        sizes={
            "debug": dict(vocab=131, context=64, width=48, depth=2, heads=4, hidden=96, **MASKED),
            "small": dict(vocab=4096, context=256, width=384, depth=6, heads=6, hidden=1536, **MASKED),
            "base": dict(),
        },
        objective="masked", published=PUBLISHED,
        weights=(
            ("embed.weight", "bert.embeddings.word_embeddings.weight", ""),
            ("embed.position.weight", "bert.embeddings.position_embeddings.weight", ""),
            ("embed.types.weight", "bert.embeddings.token_type_embeddings.weight", ""),
            ("embed.norm", "bert.embeddings.LayerNorm", ""),
            ("stack.layers.*.attn.branch.q", "bert.encoder.layer.*.attention.self.query", ""),
            ("stack.layers.*.attn.branch.k", "bert.encoder.layer.*.attention.self.key", ""),
            ("stack.layers.*.attn.branch.v", "bert.encoder.layer.*.attention.self.value", ""),
            ("stack.layers.*.attn.branch.out", "bert.encoder.layer.*.attention.output.dense", ""),
            ("stack.layers.*.attn.after", "bert.encoder.layer.*.attention.output.LayerNorm", ""),
            ("stack.layers.*.mlp.branch.up", "bert.encoder.layer.*.intermediate.dense", ""),
            ("stack.layers.*.mlp.branch.down", "bert.encoder.layer.*.output.dense", ""),
            ("stack.layers.*.mlp.after", "bert.encoder.layer.*.output.LayerNorm", ""),
            ("pooler.dense", "bert.pooler.dense", "optional"),
            ("heads.masked.dense", "cls.predictions.transform.dense", "optional"),
            ("heads.masked.norm", "cls.predictions.transform.LayerNorm", "optional"),
            ("heads.masked.out.weight", "cls.predictions.decoder.weight", "optional"),
            ("heads.masked.out.bias", "cls.predictions.bias", "optional"),
            ("heads.next_sentence.out", "cls.seq_relationship", "optional"),
        ),
        summary="encoder, post-LN, learned positions, token types, masked-token and next-sentence heads",
    ),
)
