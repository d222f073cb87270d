"""BLOOM (BigScience 2022): pre-LN, a norm after the embedding, no positions but ALiBi's (Press et al. 2022).

Rows may be of any length: `context` says how long a row generation and data make.
"""

from __future__ import annotations

from dataclasses import dataclass

from weft.models.family import DEBUG, FAMILIES, SMALL, Family
from weft.models.megatron import Megatron, decoder, names
from weft.models.published import Key, Published, Tie
from weft.nn import AlibiScheme, Attention, Decoder, Embed, LayerNorm, Scheme, initialise


@dataclass(frozen=True)
class Bloom(Megatron):
    vocab: int = 250880
    depth: int = 30
    act: str = "gelu_tanh"


def build(c: Bloom, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    scheme, norm = position or AlibiScheme(), LayerNorm(c.width, eps=c.eps)
    embed = Embed(c.vocab, c.width, position=scheme.stem(c.width, c.context), norm=norm)
    return decoder(c, scheme, attention, embed)


# fmt: off
PUBLISHED = Published(
    model_type="bloom", prefix="transformer.", bare=frozenset({"BloomModel"}),
    classes={"BloomForCausalLM": ("lm",), "BloomModel": ("lm",)},
    keys=(
        Key("vocab_size", "vocab", 250880), Key("seq_length", "context", 2048),  # the reference does not read it
        Key("hidden_size", "width", 64, also=("n_embed",)), Key("n_layer", "depth", 2, also=("num_hidden_layers",)),
        Key("n_head", "heads", 8, also=("num_attention_heads",)), Key("layer_norm_epsilon", "eps", 1e-5),
        Key("apply_residual_connection_post_layernorm", "wiring", False, words={False: "sequential", True: "normed"}),
        Key("hidden_dropout", "dropout", 0.0), Key("tie_word_embeddings", "tied", True),
        Key("attention_dropout", "attention_dropout", 0.0, follows="dropout"),
    ),
    only={"slow_but_exact": (False,)},
    inert=frozenset({  # of the authors' training; the reference reads none but the first, for what is refused above
        "pretraining_tp", "attention_softmax_in_fp32", "bias_dropout_fusion", "masked_softmax_fusion", "n_inner",
        "offset_alibi", "skip_bias_add", "skip_bias_add_qkv", "unk_token_id",
    }),
    ties=(Tie("lm_head.weight", "transformer.word_embeddings.weight", "tied"),),
)
FAMILIES.register("bloom", Family(
    name="bloom", config=Bloom, build=build, published=PUBLISHED,
    initialise=lambda module, c: initialise.normal(module, std=0.02, depth=c.depth),
    sizes={"debug": DEBUG, "small": SMALL, "560m": dict(width=1024, depth=24, heads=16), "7b": {}},
    weights=lambda c: (("embed.norm", "transformer.word_embeddings_layernorm", ""), *names(c)),
    summary="decoder, pre-LN, ALiBi, a norm after the embedding",
))
