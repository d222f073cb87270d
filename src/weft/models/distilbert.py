"""DistilBERT (Sanh et al. 2019): BERT's encoder with half of the layers, no token types and no pooler.

Its norms' eps is 1e-12 in published folders, and nothing is dropped after attention. Where `sinusoidal_pos_embds` is
true the table of positions began as sinusoids; what is computed with is the table in the file, either way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from weft.models.bidirectional import DEBUG, SMALL, Bidirectional, encoder, masked, published, stem, token
from weft.models.family import FAMILIES, Family, draw
from weft.models.published import ACTIVATIONS, Found, Key
from weft.nn import Attention, Encoder, LearnedScheme, Scheme


@dataclass(frozen=True)
class DistilBert(Bidirectional):
    depth: int = 6
    types: int | None = None


def build(c: DistilBert, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Encoder:
    heads = {"masked": partial(token, c)}
    return encoder(c, position or LearnedScheme(), attention, heads, drops=(0.0, c.dropout))


# fmt: off
KEYS = (
    Key("vocab_size", "vocab", 30522), Key("max_position_embeddings", "context", 512),
    Key("dim", "width", 768, also=("hidden_size",)), Key("n_layers", "depth", 6, also=("num_hidden_layers",)),
    Key("n_heads", "heads", 12, also=("num_attention_heads",)), Key("hidden_dim", "hidden", 3072),
    Key("activation", "act", "gelu", words=ACTIVATIONS), Key("dropout", "dropout", 0.1),
    Key("attention_dropout", "attention_dropout", 0.1, follows="dropout"), Key("tie_word_embeddings", "tied", True),
)
OURS, THEIRS = "stack.layers.*", "distilbert.transformer.layer.*"
FAMILIES.register("distilbert", Family(
    name="distilbert", config=DistilBert, build=build, initialise=draw, objective="masked",
    sizes={"debug": DEBUG, "small": SMALL, "base": dict()},
    published=published(
        "distilbert", {"DistilBertForMaskedLM": ("masked",), "DistilBertModel": ()}, KEYS, prefix="distilbert.",
        table="vocab_projector.weight", found=(Found("vocab_transform.weight", "tasks", "masked"),),
        inert=frozenset({"sinusoidal_pos_embds", "qa_dropout", "seq_classif_dropout", "tie_weights_"}),
    ),
    weights=(
        *stem("distilbert"),
        (f"{OURS}.attn.branch.{{q,k,v,out}}", f"{THEIRS}.attention.{{q_lin,k_lin,v_lin,out_lin}}", ""),
        (f"{OURS}.{{attn,mlp}}.after", f"{THEIRS}.{{sa_layer_norm,output_layer_norm}}", ""),
        (f"{OURS}.mlp.branch.{{up,down}}", f"{THEIRS}.ffn.{{lin1,lin2}}", ""),
        *masked("vocab_transform", "vocab_layer_norm", "vocab_projector.weight", "vocab_projector.bias"),
    ),
    summary="BERT's encoder at half its depth, without token types",
))
