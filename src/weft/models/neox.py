"""GPT-NeoX (Black et al. 2022; Pythia): both branches read the stream side by side, each through a norm of its own, and
rotary positions turn a quarter of each head. Where the reference drops from each branch, one mask here drops from both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from weft.models.family import DEBUG, FAMILIES, SMALL, Family
from weft.models.megatron import Megatron, decoder, names
from weft.models.published import ACTIVATIONS, Key, Published, Read, Tie
from weft.models.rotary import rope
from weft.nn import Attention, Decoder, Embed, RopeScheme, Scheme, initialise


@dataclass(frozen=True)
class NeoX(Megatron):
    vocab: int = 50432
    width: int = 6144
    depth: int = 44
    heads: int = 64
    hidden: int | None = 24576  # None: 4 · width
    wiring: str = "parallel"
    tied: bool = False
    theta: float = 10000.0
    part: float = 0.25  # of each head's width, that turns
    attention_bias: bool = True


def build(c: NeoX, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    scheme = position or RopeScheme(c.theta, c.part)
    embed = Embed(c.vocab, c.width, position=scheme.stem(c.width, c.context), dropout=c.dropout)
    return decoder(c, scheme, attention, embed, bias="qkvo" if c.attention_bias else "")


ROTARY = rope(10000.0, 2048, part="part")
OLD = {"rotary_emb_base": "rope_theta", "rotary_pct": "partial_rotary_factor"}


def _read(theirs: Mapping[str, Any]) -> Read:
    """A quarter where nothing is said; before version 5 the fields had names of their own."""
    said = theirs.get("rope_parameters", {})
    then = {new: theirs[old] for old, new in OLD.items() if old in theirs}
    if differing := [new for new in then if said.get(new, then[new]) != then[new]]:
        raise ValueError(f"{then} and rope_parameters {said} differ in {differing[0]}: the file contradicts itself")
    return ROTARY.read({**theirs, "rope_parameters": {"partial_rotary_factor": 0.25, **then, **said}})


# fmt: off
PUBLISHED = Published(
    model_type="gpt_neox", prefix="gpt_neox.", bare=frozenset({"GPTNeoXModel"}),
    classes={"GPTNeoXForCausalLM": ("lm",), "GPTNeoXModel": ("lm",)},
    keys=(
        Key("vocab_size", "vocab", 50432), Key("max_position_embeddings", "context", 2048),
        Key("hidden_size", "width", 6144), Key("num_hidden_layers", "depth", 44),
        Key("num_attention_heads", "heads", 64), Key("intermediate_size", "hidden", 24576),
        Key("hidden_act", "act", "gelu", words=ACTIVATIONS), Key("layer_norm_eps", "eps", 1e-5),
        Key("use_parallel_residual", "wiring", True, words={True: "parallel", False: "sequential"}),
        Key("attention_bias", "attention_bias", True), Key("hidden_dropout", "dropout", 0.0),
        Key("attention_dropout", "attention_dropout", 0.0, follows="dropout"),
        Key("tie_word_embeddings", "tied", False),
    ),
    only={"is_decoder": (False, True)}, inert=frozenset({"attention_probs_dropout_prob", "hidden_dropout_prob"}),
    seam=replace(ROTARY, names=(*ROTARY.names, *OLD), read=_read),
    ties=(Tie("embed_out.weight", "gpt_neox.embed_in.weight", "tied"),),
    renamed=(("lm_head.weight", "embed_out.weight"),),
    ignored=tuple(f"gpt_neox.layers.*.attention.{name}" for name in ("bias", "masked_bias", "rotary_emb.inv_freq")),
)
FAMILIES.register("neox", Family(
    name="neox", config=NeoX, build=build, published=PUBLISHED,
    initialise=lambda module, c: initialise.normal(module, std=0.02, depth=c.depth),
    sizes={
        "debug": DEBUG | dict(hidden=96, part=0.5), "small": SMALL | dict(hidden=1536),
        "160m": dict(vocab=50304, width=768, depth=12, heads=12, hidden=3072), "20b": {},
    },
    weights=lambda c: names(
        c, embed="gpt_neox.embed_in", layer="gpt_neox.layers.*", attention="attention",
        last="gpt_neox.final_layer_norm", head="embed_out",
    ),
    summary="decoder, parallel branches, a part of each head rotary",
))
