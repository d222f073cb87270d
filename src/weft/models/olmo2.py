"""OLMo 2 (OLMo team 2025): LLaMA with its RMSNorms after the branches in place of before them, and one more of all
heads' queries together, and one of their keys."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from weft.models import kin
from weft.models.family import FAMILIES, Family, draw
from weft.models.rotary import rope
from weft.nn import Attention, Block, Branch, Causal, Decoder, Joined, Residual, RMSNorm, RopeScheme, Scheme


@dataclass(frozen=True)
class Olmo2(kin.Kin):
    vocab: int = 50304
    attention_bias: bool = False


def build(c: Olmo2, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> Decoder:
    norm = partial(RMSNorm, eps=c.eps)

    def joined(heads: int) -> Joined:
        return Joined(norm(heads * c.per_head))

    def layer(c: Olmo2, attn: Branch, mlp: Branch) -> Block:
        after = partial(Residual, drop=c.dropout)
        return Block(attn=after(attn, post=norm(c.width)), mlp=after(mlp, post=norm(c.width)))

    biased = partial(attention, bias="qkvo" if c.attention_bias else "")
    attn = kin.attention_maker(c, biased, partial(joined, c.heads), partial(joined, c.kv_heads or c.heads))
    return kin.decoder(c, attn, kin.gated(c), {"self": (position or RopeScheme(c.theta), Causal())}, layer=layer)


# fmt: off
FAMILIES.register("olmo2", Family(
    name="olmo2", config=Olmo2, build=build, initialise=draw,
    sizes={"debug": kin.DEBUG, "small": kin.SMALL, "7b": dict(vocab=100352, eps=1e-6, theta=5e5)},
    weights=kin.table(
        kin.PROJECTIONS, kin.GATED, (f"{kin.QK_NORMS[0]}.norm", kin.QK_NORMS[1], ""),
        ("stack.layers.*.{attn,mlp}.post", "model.layers.*.post_{attention,feedforward}_layernorm", ""),
    ),
    published=kin.published(
        "olmo2", "Olmo2ForCausalLM", "Olmo2Model", rope(10000.0, 2048), kin.BIAS, defaults=dict(vocab=50304, eps=1e-5),
    ),
    summary="decoder, RMSNorm after each branch and of queries and keys, rotary positions",
))
