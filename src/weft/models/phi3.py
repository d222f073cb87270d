"""Phi-3 (Abdin et al. 2024): LLaMA with its projections stored fused, a part of each head turned, a window where it is
asked for, LongRoPE for long rows, and dropout of branches and embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from weft.models import kin
from weft.models.family import FAMILIES, Family, draw
from weft.models.published import Key, Table
from weft.models.rotary import rope
from weft.nn import Attention, Decoder, RopeScheme, Scheme


@dataclass(frozen=True)
class Phi3(kin.Kin):
    vocab: int = 32064
    width: int = 3072
    hidden: int = 8192
    part: float = 1.0  # of each head that turns
    window: int | None = None  # how many places each layer sees; None: all that came before
    embedding_dropout: float | None = None  # None: dropout


def build(c: Phi3, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    fields = {"self": (position or RopeScheme(c.theta, c.part), kin.causal(c.window))}
    dropout = c.dropout if c.embedding_dropout is None else c.embedding_dropout
    return kin.decoder(c, kin.attention_maker(c, partial(attention, bias="")), kin.gated(c), fields, dropout=dropout)


# fmt: off
def weights(c: Phi3) -> Table:
    fused, kv_heads = "stack.layers.*.attn.branch.{q,k,v}", c.kv_heads or c.heads
    return kin.table(
        kin.PRE, (fused, "model.layers.*.self_attn.qkv_proj", f"join 1 {c.heads}:{kv_heads}:{kv_heads}"),
        ("stack.layers.*.attn.branch.out", "model.layers.*.self_attn.o_proj", ""),
        ("stack.layers.*.mlp.branch.{gate,up}", "model.layers.*.mlp.gate_up_proj", "join"),
        ("stack.layers.*.mlp.branch.down", "model.layers.*.mlp.down_proj", ""),
    )


FAMILIES.register("phi3", Family(
    name="phi3", config=Phi3, build=build, initialise=draw, weights=weights,
    sizes={"debug": kin.DEBUG | dict(part=0.5), "small": kin.SMALL, "mini": dict(window=2047)},
    published=kin.published(
        "phi3", "Phi3ForCausalLM", "Phi3Model",
        rope(10000.0, 4096, part="part", original=4096, kinds={"su": "longrope", "yarn": "longrope"}),
        Key("sliding_window", "window", None), Key("resid_pdrop", "dropout", 0.0),
        Key("embd_pdrop", "embedding_dropout", 0.0, follows="dropout"),
        defaults=dict(vocab=32064, context=4096, width=3072, hidden=8192, eps=1e-5), training=(),
        only={"attention_bias": (False,), "mlp_bias": (False,), "lm_head_bias": (False,)},
        inert=("interpolate_factor", "full_attn_mod"),  # of Phi-4's files; nothing reads them
    ),
    summary="decoder, as LLaMA, a part of each head rotary, LongRoPE",
))
