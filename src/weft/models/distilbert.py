"""DistilBERT (Sanh et al. 2019): BERT's encoder with half of the layers, no token types and no pooler.

Its norms' eps is 1e-12 in published folders. Nothing is dropped after attention. Where `sinusoidal_pos_embds` is true
the table of positions began as sinusoids; what is computed with is the table that lies in the file, either way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from weft.models.bidirectional import DEBUG, SMALL, Bidirectional, encoder, start, stem, token_head
from weft.models.family import FAMILIES, Family
from weft.models.published import ACTIVATIONS, Found, Key, Published, Tie
from weft.nn import Attention, Encoder, LayerNorm, LearnedScheme, Scheme, TokenHead


@dataclass(frozen=True)
class DistilBert(Bidirectional):
    depth: int = 6


def build(c: DistilBert, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    norm = LayerNorm(c.width, eps=c.eps)
    heads = {"masked": partial(TokenHead, c.width, c.vocab, act=c.act, norm=norm, tied=c.tied)}
    return encoder(c, position or LearnedScheme(), attention, heads, drops=(0.0, c.dropout))


# fmt: off
PUBLISHED = Published(
    model_type="distilbert", classes={"DistilBertForMaskedLM": ("masked",), "DistilBertModel": ()},
    keys=(
        Key("vocab_size", "vocab", 30522), Key("max_position_embeddings", "context", 512),
        Key("dim", "width", 768, also=("hidden_size",)), Key("n_layers", "depth", 6, also=("num_hidden_layers",)),
        Key("n_heads", "heads", 12, also=("num_attention_heads",)), Key("hidden_dim", "hidden", 3072),
        Key("activation", "act", "gelu", words=ACTIVATIONS), Key("dropout", "dropout", 0.1),
        Key("attention_dropout", "attention_dropout", 0.1, follows="dropout"),
        Key("tie_word_embeddings", "tied", True),
    ),
    inert=frozenset({"sinusoidal_pos_embds", "qa_dropout", "seq_classif_dropout", "tie_weights_", "output_past"}),
    heads="tasks", prefix="distilbert.", bare=frozenset({"DistilBertModel"}),
    ties=(Tie("vocab_projector.weight", "distilbert.embeddings.word_embeddings.weight", "tied"),),
    found=(Found("vocab_transform.weight", "tasks", "masked"),), ignored=("distilbert.embeddings.position_ids",),
)
OURS, THEIRS = "stack.layers.*", "distilbert.transformer.layer.*"
FAMILIES.register("distilbert", Family(
    name="distilbert", config=DistilBert, build=build, initialise=start,
    sizes={"debug": DEBUG, "small": SMALL, "base": dict()}, objective="masked", published=PUBLISHED,
    weights=(
        *stem("distilbert"),
        (f"{OURS}.attn.branch.{{q,k,v,out}}", f"{THEIRS}.attention.{{q_lin,k_lin,v_lin,out_lin}}", ""),
        (f"{OURS}.{{attn,mlp}}.after", f"{THEIRS}.{{sa_layer_norm,output_layer_norm}}", ""),
        (f"{OURS}.mlp.branch.{{up,down}}", f"{THEIRS}.ffn.{{lin1,lin2}}", ""),
        *token_head("vocab_transform", "vocab_layer_norm", "vocab_projector.weight", "vocab_projector.bias"),
    ),
    summary="BERT's encoder at half its depth, without token types",
))
