"""Falcon (Almazrouei et al. 2023): 7B has one key for all heads, and branches side by side that read one norm (shared);
40B grouped keys and two norms (parallel); RW a key for each head, ALiBi, biases, and branches one after the other.

Dropout of attention weights is used everywhere; the reference forgets it beside rotary positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from weft.models.family import DEBUG, FAMILIES, SMALL, Family, draw
from weft.models.megatron import Megatron, decoder, names
from weft.models.published import ACTIVATIONS, Key, Published, Read, Seam, Tie
from weft.models.rotary import rope
from weft.nn import Alibi, AlibiScheme, Attention, Decoder, Embed, Layout, Placed, RopeScheme, Scheme


@dataclass(frozen=True)
class Falcon(Megatron):
    vocab: int = 65024
    width: int = 4544
    heads: int = 71
    kv_heads: int | None = 1  # None: heads
    wiring: str = "shared"
    theta: float = 10000.0
    alibi: bool = False  # in place of rotary positions
    bias: bool = False


class RoundedAlibi(Alibi):
    """bf16(slope) · place / √K, the product rounded to bf16, too, as the weights were trained: so what counts is the
    key's place, not the distance."""

    relative = False

    def __init__(self, heads: int, head_width: int) -> None:
        super().__init__(heads)
        self.head_width = head_width

    def at(self, q: Layout, k: Layout, new: Layout, length: int) -> Placed:
        slopes = torch.tensor(self.slopes(self.heads), device=k.places.device).bfloat16()
        bias = (slopes[:, None] * k.places[:, None]).float() / self.head_width**0.5  # [B, H, S]
        return Placed(bias=bias[:, :, None].expand(-1, -1, q.places.shape[1], -1))  # [B, H, T, S]


class RoundedAlibiScheme(AlibiScheme):
    def field(self, heads: int, head_width: int, *, bidirectional: bool = False) -> RoundedAlibi:
        return RoundedAlibi(heads, head_width)


def build(c: Falcon, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    scheme = position or (RoundedAlibiScheme() if c.alibi else RopeScheme(c.theta))
    embed = Embed(c.vocab, c.width, position=scheme.stem(c.width, c.context))
    return decoder(c, scheme, attention, embed, bias="qkvo" if c.bias else "", mlp_bias=c.bias)


ROTARY = rope(10000.0, 2048)
SWITCHES = {"new_decoder_architecture": False, "multi_query": True, "parallel_attn": True, "alibi": False}


def _read(theirs: Mapping[str, Any]) -> Read:
    """The new architecture overrules what is said of keys, and the old ones what is said of their number."""
    new, single, beside, alibi = (theirs.get(name, default) for name, default in SWITCHES.items())
    heads, most = theirs.get("num_attention_heads", 71), 2 if new else 1
    keys, norms = theirs.get("num_kv_heads", heads), theirs.get("num_ln_in_parallel_attn", most)
    odd = {name: theirs[name] for name in SWITCHES if not isinstance(theirs.get(name, True), bool)}
    wrong = {f"{name} is {value!r}, but it must be true or false": True for name, value in odd.items()} | {
        f"num_ln_in_parallel_attn is {norms!r}, and can be at most {most}": beside and norms not in (1, most),
        "parallel_attn is false, but branches stand side by side": new and not beside,
        f"num_kv_heads is {keys!r}, but each of {heads} heads has its own": not (new or single) and keys != heads,
    }
    if any(wrong.values()):
        raise ValueError(f"{'; '.join(text for text in wrong if wrong[text])} (new_decoder_architecture is {new!r})")
    kind = "sequential" if not beside else "parallel" if norms == 2 else "shared"
    keys = keys if new else 1 if single else heads
    rotary = ROTARY.read(theirs)
    fields = rotary.fields | dict(kv_heads=None if keys == heads else keys, wiring=kind, alibi=alibi)
    return Read(fields, None if alibi else rotary.position)


def _write(c: Falcon, position: Scheme | None) -> dict[str, Any] | None:
    """The old architecture where it can say it."""
    keys = c.heads if c.kv_heads is None else c.kv_heads
    new = keys not in (1, c.heads) or c.wiring == "parallel"
    rotary, kinds = ROTARY.write(c, position), ("shared", "parallel" if new else "sequential")
    if rotary is None or (c.alibi and position is not None) or c.wiring not in kinds:
        return None
    switches = dict(zip(SWITCHES, (new, keys == 1, c.wiring != "sequential", c.alibi), strict=True))
    return rotary | switches | dict(num_kv_heads=keys, num_ln_in_parallel_attn=2 if c.wiring == "parallel" else 1)


# fmt: off
PUBLISHED = Published(
    model_type="falcon", prefix="transformer.", bare=frozenset({"FalconModel"}), kernel="sdpa",
    classes={"FalconForCausalLM": ("lm",), "FalconModel": ("lm",)},
    keys=(
        Key("vocab_size", "vocab", 65024), Key("max_position_embeddings", "context", 2048),
        Key("hidden_size", "width", 4544, also=("n_embed",)), Key("num_hidden_layers", "depth", 32),
        Key("num_attention_heads", "heads", 71), Key("ffn_hidden_size", "hidden", None),
        Key("activation", "act", "gelu", words=ACTIVATIONS), Key("layer_norm_epsilon", "eps", 1e-5),
        Key("bias", "bias", False), Key("hidden_dropout", "dropout", 0.0),
        Key("attention_dropout", "attention_dropout", 0.0, follows="dropout"), Key("tie_word_embeddings", "tied", True),
    ),
    only={"apply_residual_connection_post_layernorm": (False,)},
    seam=Seam(
        (*ROTARY.names, "num_kv_heads", "num_ln_in_parallel_attn", *SWITCHES),
        ("theta", "kv_heads", "wiring", "alibi"), _read, _write,
    ),
    ties=(Tie("lm_head.weight", "transformer.word_embeddings.weight", "tied"),),
    ignored=("transformer.h.*.self_attention.rotary_emb.inv_freq",),
)
FAMILIES.register("falcon", Family(
    name="falcon", config=Falcon, build=build, initialise=draw, published=PUBLISHED,
    sizes={
        "debug": DEBUG, "small": SMALL, "7b": {},
        "40b": dict(width=8192, depth=60, heads=128, kv_heads=8, wiring="parallel"),
        "rw-1b": dict(width=2048, depth=24, heads=32, kv_heads=None, alibi=True, wiring="sequential", bias=True),
    },
    weights=lambda c: names(c, norms=("ln_attn", "ln_mlp")) if c.wiring == "parallel" else names(c),
    summary="decoder, parallel branches, one key or few, rotary or ALiBi",
))
