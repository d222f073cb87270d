"""Attention: one class for self, grouped and cross; two declared seams, `keys` and `bias`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from weft.nn.branch import Branch
from weft.nn.context import Context, Memory, Sight
from weft.nn.core import Core
from weft.nn.kernels import Scoring, attend
from weft.nn.linear import Linear
from weft.nn.relative import Relative
from weft.nn.slots import Slot
from weft.nn.tap import Tap


class Attention(Branch):
    """out(attend(q(x), k(x), v(x))). x [B, T, D] -> [B, T, D].

    kv_heads < heads shares each key head among heads / kv_heads query heads (Ainslie et al. 2023); 1 is multi-query.
    head_width (K) defaults to width / heads; value_width to K; memory_width, of what keys and values are made from, to
    width. field names the receptive field in the stack. relative: a scheme with parameters of this layer.
    bias names the projections that have one ("qkvo", "qvo", ""). q_norm and k_norm act on the last axis (K),
    memory_norm on the memory. scale defaults to 1/√K. softcap c: scores become c · tanh(scores / c). sink: a trained
    score per head that takes weight and gives nothing. ValueError for sizes that do not fit one another.

    core: what stands in for `attend`, put here by a kind of attention (`weft.nn.kind`); None: nothing.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        kv_heads: int | None = None,
        head_width: int | None = None,
        value_width: int | None = None,
        memory_width: int | None = None,
        *,
        field: str = "self",
        relative: Relative | None = None,
        memory_norm: nn.Module | None = None,
        bias: str = "qkvo",
        q_norm: nn.Module | None = None,
        k_norm: nn.Module | None = None,
        scale: float | None = None,
        softcap: float | None = None,
        sink: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        kv_heads = heads if kv_heads is None else kv_heads
        source = width if memory_width is None else memory_width
        _check_heads(width, heads, kv_heads, head_width)
        self.heads, self.kv_heads = heads, kv_heads
        self.head_width = width // heads if head_width is None else head_width
        self.value_width = self.head_width if value_width is None else value_width
        self.field, self.scale, self.softcap, self.dropout = field, scale, softcap, dropout
        _check_numbers(self.head_width, self.value_width, source, bias, softcap)
        self.q = Linear(width, heads * self.head_width, bias="q" in bias)
        self.k = Linear(source, kv_heads * self.head_width, bias="k" in bias)
        self.v = Linear(source, kv_heads * self.value_width, bias="v" in bias)
        self.out = Linear(heads * self.value_width, width, bias="o" in bias, residual=True)
        self.q_norm, self.k_norm = q_norm or nn.Identity(), k_norm or nn.Identity()
        self.memory_norm = memory_norm or nn.Identity()
        self.relative = relative
        self.core: Core | None = None
        self.sink = nn.Parameter(torch.zeros(heads)) if sink else None
        self.queries, self.probs, self.mixed = Tap(), Tap(), Tap()
        self.new_keys, self.new_values = Tap(), Tap()

    def reset(self) -> None:
        """A sink that is one more key of score 0."""
        if self.sink is not None:
            nn.init.zeros_(self.sink)

    def forward(self, x: Tensor, ctx: Context, slot: Slot | None = None) -> tuple[Tensor, None]:
        sight = ctx.sight(self.field)
        q = self.q(x).unflatten(-1, (self.heads, self.head_width))  # [B, T, H, K]
        q = self.queries(sight.rotate_q(self.q_norm(q)))
        k, v = self.keys(x, ctx, sight, slot)  # [B, S, G, K]
        if sight.share > 1:
            q = q.reshape(k.shape[0], -1, self.heads, self.head_width)  # [B/n, n·T, H, K]
        how = self.scoring(q, k, sight)
        z = attend(q, k, v, sight, how) if self.core is None else self.core(q, k, v, sight, how, slot)
        z = self.mixed(z)  # [B, T, H, Kv]
        return self.out(z.reshape(*x.shape[:2], -1)), None  # [B, T, D]

    def scoring(self, q: Tensor, k: Tensor, sight: Sight) -> Scoring:
        """How this attention makes weights of queries [B, T, H, K] and keys [B, S, G, K]."""
        return Scoring(
            scale=self.scale,
            bias=self.bias(q, k, sight),
            softcap=self.softcap,
            sink=self.sink,
            dropout=self.dropout if self.training else 0.0,
            values=self.values(sight),
            probs=self.probs,
        )

    def keys(self, x: Tensor, ctx: Context, sight: Sight, slot: Slot | None) -> tuple[Tensor, Tensor]:
        """Seam: the keys and values to look at, [B, S, G, K] and [B, S, G, Kv]."""
        k, v = self.project(x)
        k = self.new_keys(sight.rotate_k(k))
        if slot is None:
            return k, v
        assert sight.index is not None
        return slot.write(k, v, sight.index)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of x [B, S, Dm], not yet rotated: [B, S, G, K], [B, S, G, Kv]."""
        k = self.k_norm(self.k(x).unflatten(-1, (self.kv_heads, self.head_width)))  # [B, S, G, K]
        v = self.v(x).unflatten(-1, (self.kv_heads, self.value_width))  # [B, S, G, Kv]
        return k, self.new_values(v)

    def bias(self, q: Tensor, k: Tensor, sight: Sight) -> Tensor | None:
        """Seam: content-dependent scores [B, H, T, S], added after scaling."""
        if self.relative is None:
            return None
        scale = self.head_width**-0.5 if self.scale is None else self.scale
        return self.relative.bias(q * scale, k, sight.q, sight.k)

    def values(self, sight: Sight) -> Callable[[Tensor], Tensor] | None:
        """What a relative scheme adds on the value side: probs [B, H, T, S] -> [B, T, H, Kv]."""
        return None if self.relative is None else self.relative.mixer(sight.q, sight.k)

    def slots(self, make: Callable[[Attention], Slot]) -> Slot:
        return make(self)

    def extra_repr(self) -> str:
        return f"field={self.field!r}, heads={self.heads}, kv_heads={self.kv_heads}, head_width={self.head_width}"


class CrossAttention(Attention):
    """Keys and values of a memory instead of x: `keys` is overridden, nothing else."""

    def keys(self, x: Tensor, ctx: Context, sight: Sight, slot: Slot | None) -> tuple[Tensor, Tensor]:
        if slot is not None:
            return slot.read()
        assert ctx.memory is not None, "there is no sight of a memory without one"
        return self.read(ctx.memory, sight)

    def read(self, memory: Memory, sight: Sight) -> tuple[Tensor, Tensor]:
        """Keys, rotated, and values of a memory: [B, S, G, K], [B, S, G, Kv]."""
        k, v = self.project(self.memory_norm(memory.states))
        return self.new_keys(sight.rotate_k(k)), v

    def fill(self, slot: Slot, ctx: Context) -> None:
        """Keep the keys and values of ctx.memory in the slot."""
        assert ctx.memory is not None
        slot.set(*self.read(ctx.memory, ctx.sight(self.field)))


def _check_heads(width: int, heads: int, kv_heads: int, head_width: int | None) -> None:
    """Heads must divide the width unless a head width is given; key/value heads must divide heads."""
    if min(width, heads, kv_heads) < 1:
        raise ValueError(f"width {width}, heads {heads} and kv_heads {kv_heads} must be at least 1")
    if head_width is None and width % heads:
        raise ValueError(f"{heads} heads do not divide the width {width}: change one of them, or give head_width")
    if heads % kv_heads:
        raise ValueError(f"{kv_heads} key/value heads do not divide {heads} heads: choose a divisor of {heads}")


def _check_numbers(head_width: int, value_width: int, memory_width: int, bias: str, softcap: float | None) -> None:
    if min(head_width, value_width, memory_width) < 1:
        raise ValueError(
            f"head_width {head_width}, value_width {value_width} and memory_width {memory_width} must be at least 1 "
            "(None: the default)"
        )
    if not set(bias) <= set("qkvo"):
        raise ValueError(f"bias = {bias!r}, but it names projections: any of the letters q, k, v, o, or none")
    if softcap is not None and not softcap > 0:
        raise ValueError(f"softcap = {softcap}, but scores are capped at a number above 0 (None: not at all)")
