"""Attention as sums: weights φ(q) · φ(k), so that what was seen is one matrix and no scores are held.

    z = φ(q) Σ φ(k) vᵀ / φ(q) Σ φ(k)

The sums go over everything a query sees. Work and memory grow with the row's length.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from weft.nn import chunked
from weft.nn.context import Field, Sight
from weft.nn.core import KINDS, POSITIONS, Core
from weft.nn.kernels import Scoring, allowed
from weft.nn.mask import Causal, Full, Mask
from weft.nn.slots import Slot, SumSlot

if TYPE_CHECKING:
    from weft.nn.attention import Attention

CHUNK = 128  # places


class Sums(Core):
    """φ(q) · φ(k) as weights; what φ is, a subclass says. Computed in fp32 at the least.

    Full and causal fields take the smaller work, ragged and packed rows too: a sum begins anew with each document.
    Another mask (a family's own window), a shared prefix, and a cache that keeps keys are computed by the definition,
    with [T, S] weights. A cache of a causal field holds sums alone. Rope turns queries and keys before φ. There are no
    weights to drop: dropout of them is left out.
    """

    @abstractmethod
    def queries(self, x: Tensor, scale: float) -> Tensor:
        """φ [.., F] of queries [.., K], each up to a factor of its own, which z does not feel."""

    @abstractmethod
    def keys(self, x: Tensor, scale: float) -> Tensor:
        """φ [.., F] of keys [.., K]."""

    @abstractmethod
    def width(self, head_width: int) -> int:
        """F."""

    def check(self, attention: Attention, field: Field) -> None:
        super().check(attention, field)
        self._check(attention.softcap is not None, attention.sink is not None)

    def _check(self, softcap: bool, sink: bool) -> None:
        if softcap:
            self.refuse("a softcap of scores, which it never has", KINDS)
        if sink:
            self.refuse("a sink beside scores, which it never has", KINDS)

    def _check_pass(self, sight: Sight, how: Scoring) -> None:
        """What only a pass can tell."""
        self._check(how.softcap is not None, how.sink is not None)
        if how.bias is not None or how.values is not None or sight.placed.bias is not None:
            self.refuse("a bias of scores, or values by distance", POSITIONS)
        if how.listening:
            self.refuse("a listener on the weights, which it never has", "listen to queries, new_keys or mixed")

    def forward(self, q: Tensor, k: Tensor, v: Tensor, sight: Sight, how: Scoring, slot: Slot | None) -> Tensor:
        self._check_pass(sight, how)
        dtype, scale = torch.promote_types(v.dtype, torch.float32), how.scale or q.shape[-1] ** -0.5
        with torch.autocast(q.device.type, enabled=False):
            wide = functional.pad(v.to(dtype), (0, 1), value=1.0)  # [B, S, G, Kv + 1]
            mixed = self._mix(q.to(dtype), k.to(dtype), wide, sight, scale, slot)  # [B, T, H, Kv + 1]
            weight = mixed[..., -1:]
            z = mixed[..., :-1] / weight.masked_fill(weight == 0, 1.0)  # who sees nothing gets zeros
        return z.to(v.dtype)

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, sight: Sight, scale: float, slot: Slot | None) -> Tensor:
        """φ(q) · Σ φ(k) vᵀ, [B, T, H, Kv + 1]."""
        state = slot if isinstance(slot, SumSlot) else None
        if state is not None and sight.k.prefix:
            self.refuse("a shared prefix in a cache", KINDS)
        kept, narrow = sight.index is not None and state is None, not isinstance(sight.mask, Causal | Full | None)
        if kept or narrow or sight.k.prefix:
            # kept keys lie in a cache's order, a prefix belongs to every document, and a window leaves keys behind:
            # no one sum of a chunk is what all later queries see
            return chunked.quadratic(self.queries(q, scale), self.keys(k, scale), v, allowed(sight))
        return self._in_chunks(q, k, v, sight, scale, state)

    def _in_chunks(self, q: Tensor, k: Tensor, v: Tensor, sight: Sight, scale: float, state: SumSlot | None) -> Tensor:
        """The same, keys beside their queries in a full or causal field, going on from a state."""
        (b, t, _, _), g, causal = q.shape, k.shape[2], sight.causal or isinstance(sight.mask, Causal)
        segments = sight.q.segments
        if segments is None and state is not None:
            segments = torch.ones(1, t, dtype=torch.int64, device=q.device)
        size = t if segments is None and not causal else min(CHUNK, t)
        queries = self.queries(chunked.to_chunks(q, g, size), scale)  # [B, G, N, H/G·C, F]
        keys, values = self.keys(chunked.to_chunks(k, g, size), scale), chunked.to_chunks(v, g, size)  # [B, G, N, C, F]
        if segments is None and not causal:
            return chunked.to_rows(queries @ (keys.mT @ values), size, t)
        borders, carried_in = None, None if state is None else state.total
        if segments is not None:
            segments = functional.pad(segments.expand(b, t), (0, -t % size)).unflatten(1, (-1, size))  # [B, N, C]
            document = torch.zeros_like(segments[:, 0, 0]) if state is None else state.document  # [B]
            borders = chunked.border_documents(segments, document)  # [B, N + 1]
        earlier, carried_out = chunked.from_earlier_chunks(queries, keys, values, segments, borders, carried_in)
        mixed = chunked.within_chunks(queries, keys, values, segments, causal=causal) + earlier
        if state is not None and borders is not None:
            state.keep(carried_out, borders[:, -1])
        if segments is not None and not causal:
            mixed = mixed + chunked.from_later_chunks(queries, keys, values, segments)
        return chunked.to_rows(mixed, size, t)

    def slot(self, attention: Attention, mask: Mask, rows: int) -> Slot | None:
        if not isinstance(mask, Causal):
            return None
        weight = attention.k.weight
        shape = (rows, attention.kv_heads, self.width(attention.head_width), attention.value_width + 1)
        dtype = torch.promote_types(weight.dtype, torch.float32)
        return SumSlot(torch.zeros(shape, device=weight.device, dtype=dtype))


class Elu(Sums):
    """φ(x) = elu(x) + 1 (Katharopoulos et al. 2020, "Transformers are RNNs"). It knows no temperature: `scale` is not
    read."""

    name = "linear"

    def queries(self, x: Tensor, scale: float) -> Tensor:
        return functional.elu(x) + 1

    def keys(self, x: Tensor, scale: float) -> Tensor:
        return functional.elu(x) + 1

    def width(self, head_width: int) -> int:
        return head_width


class Positive(Sums):
    """φ(x) = exp(W x - |x|² / 2), x scaled by the root of `scale` (Choromanski et al. 2021, FAVOR+): φ(q) · φ(k) is
    exp(scale q · k) in expectation, what softmax begins with, so that a trained softmax goes on roughly as it was.

    directions W [F, K]: blocks of orthogonal rows, each as long as a Gaussian vector, drawn from `seed`, the same for
    all heads. They are kept with the weights: torch does not promise the same draw in its next version, and a model
    that was trained with one draw is worth nothing with another. Where the authors' code subtracts the largest exponent
    of all keys and adds 1e-6, we subtract nothing from keys and each query's own largest, which cancels: no key feels
    a later one.
    """

    name = "features"
    directions: Tensor

    def __init__(self, features: int, head_width: int, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.register_buffer("directions", torch.empty(features, head_width))
        self.reset()

    def reset(self) -> None:
        """Draw them anew, the same ones."""
        (features, width), generator = self.directions.shape, torch.Generator("cpu").manual_seed(self.seed)
        blocks = [torch.randn(width, width, generator=generator, device="cpu") for _ in range(-(-features // width))]
        turns = [(q * r.diagonal().sign()).mT for q, r in map(torch.linalg.qr, blocks)]  # else all lean to one side
        turned = torch.cat(turns)[:features]  # [F, K], rows of length 1
        lengths = torch.randn(features, width, generator=generator, device="cpu").norm(dim=1, keepdim=True)  # [F, 1]
        with torch.no_grad():
            self.directions.copy_(turned * lengths)

    def queries(self, x: Tensor, scale: float) -> Tensor:
        exponent = (x * scale**0.5) @ self.directions.to(x.dtype).mT  # [.., F]; |x|² / 2 is the same for all F
        return exponent.sub_(exponent.detach().amax(dim=-1, keepdim=True)).exp_()

    def keys(self, x: Tensor, scale: float) -> Tensor:
        x = x * scale**0.5
        return (x @ self.directions.to(x.dtype).mT).sub_(x.square().sum(dim=-1, keepdim=True) / 2).exp_()

    def width(self, head_width: int) -> int:
        return self.directions.shape[0]

    def extra_repr(self) -> str:
        return f"features={self.directions.shape[0]}, seed={self.seed}"
