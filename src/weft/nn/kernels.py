"""Attention kernels. `eager` is the reference; every other one is tested against it, forward and backward.

All of them compute, in this order: scale, bias, softcap, mask, sink, softmax, dropout, values. A row that sees nothing
gives zeros. q [B, T, H, K], k [B, S, G, K], v [B, S, G, Kv] -> [B, T, H, Kv]; query head h reads key head h // (H / G).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.nn.blocked import BLOCK, Fused, count, gather, within
from weft.nn.context import Field, Sight
from weft.nn.dropout import drop
from weft.nn.linear import transformed
from weft.nn.mask import Causal
from weft.nn.tap import Tap

LONG = 1024  # keys from here on: scores are not held whole where a fused kernel can avoid it
HELD = 2**30  # bytes of scores; a kernel that holds them all holds several such tensors in a backward pass
SPARE = 0.75  # of all scores, what a mask without a reach may leave to compute for blocks to be worth it


@dataclass(frozen=True)
class Scoring:
    """How scores become weights.

    scale: of the scores (None: 1/√K). bias: scores added after scaling, broadcastable to [B, H, T, S].
    softcap: c · tanh(scores / c). sink: [H], a score that takes weight and gives nothing. dropout: share of the weights
    that is dropped; the caller's mode decides. values: what a relative scheme adds, probs [B, H, T, S] ->
    [B, T, H, Kv]. probs: the tap on the weights.
    """

    scale: float | None = None
    bias: Tensor | None = None
    softcap: float | None = None
    sink: Tensor | None = None
    dropout: float = 0.0
    values: Callable[[Tensor], Tensor] | None = None
    probs: Tap | None = None

    @property
    def fused(self) -> bool:
        """True where scores become weights by bias, mask and softmax alone, and nobody listens."""
        return not self.needs_weights and not self.dropout

    @property
    def needs_weights(self) -> bool:
        """True where somebody wants the weights themselves, or something a fused kernel cannot do."""
        return self.listening or self.values is not None or self.softcap is not None or self.sink is not None

    @property
    def listening(self) -> bool:
        """True where somebody listens to the weights, or edits them."""
        return self.probs is not None and self.probs.active


Kernel = Callable[[Tensor, Tensor, Tensor, Sight, Scoring], Tensor]


def eager(q: Tensor, k: Tensor, v: Tensor, sight: Sight, how: Scoring) -> Tensor:
    """The reference: what attention means, written out."""
    repeats = q.shape[2] // k.shape[2]
    k, v = k.repeat_interleave(repeats, dim=2), v.repeat_interleave(repeats, dim=2)  # [B, S, H, K]
    scale = q.shape[-1] ** -0.5 if how.scale is None else how.scale
    scores = torch.einsum("bthk,bshk->bhts", q, k) * scale  # [B, H, T, S]
    probs = weigh(scores, allowed(sight), how)
    mixed = torch.einsum("bhts,bshv->bthv", probs, v)  # [B, T, H, Kv]
    return mixed if how.values is None else mixed + how.values(probs)


def allowed(sight: Sight) -> Tensor | None:
    """The mask as a tensor, [B or 1, 1, T, S], also where it was a static fact; None: everything is seen."""
    if sight.allowed is not None:
        return sight.allowed[:, None]  # [B, 1, T, S]
    return Causal().allows(sight.q, sight.k)[:, None] if sight.causal else None  # [1, 1, T, S]


def weigh(scores: Tensor, mask: Tensor | None, how: Scoring) -> Tensor:
    """Scores [B, H, T, S] (scaled) to weights of the same shape; rows that see nothing become zeros."""
    if how.bias is not None:
        scores = scores + how.bias.to(scores.dtype)
    if how.softcap is not None:
        scores = how.softcap * torch.tanh(scores / how.softcap)
    if mask is not None:  # finite, so that a fully hidden row has finite gradients too
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    if how.sink is not None:
        sink = how.sink.to(scores.dtype)[:, None, None].expand(*scores.shape[:3], 1)  # [B, H, T, 1]
        probs = torch.cat((scores, sink), dim=-1).softmax(dim=-1)[..., :-1]  # [B, H, T, S]
    else:
        probs = scores.softmax(dim=-1)
    if mask is not None:
        probs = probs.masked_fill(~mask, 0.0)
    if how.dropout:
        probs = drop(probs, how.dropout)
    return probs if how.probs is None else how.probs(probs)


def matmul(q: Tensor, k: Tensor, v: Tensor, sight: Sight, how: Scoring) -> Tensor:
    """Two batched matrix products over one contiguous batch of heads; key heads are shared, never repeated."""
    (b, t, h, _), (s, g) = q.shape, k.shape[1:3]
    scale = q.shape[-1] ** -0.5 if how.scale is None else how.scale
    heads_q, heads_k, heads_v = _heads_first(q * scale, g), _heads_first(k, g), _heads_first(v, g)  # [B·G, .., K]
    scores = torch.bmm(heads_q, heads_k.transpose(1, 2)).view(b, h, t, s)  # [B, H, T, S]
    probs = weigh(scores, allowed(sight), how)
    mixed = _heads_last(torch.bmm(probs.view(b * g, -1, s), heads_v), b, h, t)  # [B, T, H, Kv]
    return mixed if how.values is None else mixed + how.values(probs)


def _heads_first(x: Tensor, groups: int) -> Tensor:
    """[B, T, H, K] -> [B·G, H/G·T, K], contiguous."""
    b, t, h, k = x.shape
    return x.transpose(1, 2).reshape(b * groups, h // groups * t, k)


def _heads_last(x: Tensor, rows: int, heads: int, length: int) -> Tensor:
    """[B·G, H/G·T, K] -> [B, T, H, K]."""
    return x.view(rows, heads, length, -1).transpose(1, 2)


def sdpa(q: Tensor, k: Tensor, v: Tensor, sight: Sight, how: Scoring) -> Tensor:
    """torch's fused kernel. It cannot cap scores, take sinks or hand out its weights."""
    mask = fused = None if sight.allowed is None else sight.allowed[:, None]  # [B, 1, T, S]
    if how.bias is not None:
        seen, bias = allowed(sight), how.bias.to(q.dtype)
        fused = bias if seen is None else bias.masked_fill(~seen, torch.finfo(q.dtype).min)  # [B, H, T, S]
    out = functional.scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in (q, k, v)),  # [B, H, T, K], [B, G, S, K]
        attn_mask=fused,
        dropout_p=how.dropout,
        is_causal=sight.causal and fused is None,
        scale=how.scale,
        enable_gqa=q.shape[2] != k.shape[2],
    ).transpose(1, 2)  # [B, T, H, Kv]
    if mask is not None:
        # a row that sees nothing is the mean of v under a finite bias
        out = out.masked_fill(~mask.any(dim=-1).transpose(1, 2)[..., None], 0.0)  # mask: [B, T, 1, 1]
    return out


def blocked(q: Tensor, k: Tensor, v: Tensor, sight: Sight, how: Scoring) -> Tensor:
    """Queries in blocks, each against only the keys its mask can reach (see `weft.nn.blocked`). Needs keys that are the
    queries' own (`sight.reach`)."""
    (b, t, h, width), g, cuts = q.shape, k.shape[2], sight.cuts()
    scale = width**-0.5 if how.scale is None else how.scale
    keys, values = _heads_first(k, g), _heads_first(v, g)  # [B·G, T, K], [B·G, T, Kv]
    queries, bias = _heads_first(q * scale, g).view(b * g, h // g, t, width), how.bias  # [B·G, H/G, T, K]
    if how.fused:  # also for a compiler, which traces its backward pass
        if torch.is_autocast_enabled(q.device.type):  # that backward pass has no autocast to bring them together
            dtype = torch.get_autocast_dtype(q.device.type)
            queries, keys, values = queries.to(dtype), keys.to(dtype), values.to(dtype)
        if bias is not None:
            bias = bias.view(*[1] * (4 - bias.ndim), *bias.shape).to(queries.dtype)
        masks, keep = () if sight.causal else sight.blocks(), torch.is_grad_enabled()
        mixed: Tensor = Fused.apply(queries, keys, values, bias, (b, g, h), cuts, sight.causal, keep, *masks)  # type: ignore[assignment]
        return mixed.view(b, h, t, -1).transpose(1, 2)  # [B, T, H, Kv]
    masks, outs = sight.blocks(), []
    for number, span in enumerate(cuts):
        start, stop, ranges = span
        block = queries[:, :, start:stop].reshape(b * g, -1, width)  # [B·G, H/G·n, K]
        scores = torch.bmm(block, gather(keys, ranges, 1).transpose(1, 2))  # [B·G, H/G·n, s]
        scores = scores.view(b, h, stop - start, -1)  # [B, H, n, s]
        scoring = replace(how, bias=within(bias, span), probs=None)
        probs = weigh(scores, masks[number] if masks else None, scoring)
        mixed = torch.bmm(probs.view(b * g, -1, probs.shape[-1]), gather(values, ranges, 1))  # [B·G, H/G·n, Kv]
        outs.append(_heads_last(mixed, b, h, stop - start))  # [B, n, H, Kv]
    return torch.cat(outs, dim=1)  # [B, T, H, Kv]


KERNELS: dict[str, Kernel] = {"eager": eager, "matmul": matmul, "sdpa": sdpa, "blocked": blocked}


def able(name: str, sight: Sight, how: Scoring) -> bool:
    """Can this kernel do this task? False, too, for a name that is no kernel."""
    if name == "sdpa":
        return not how.needs_weights
    if name == "blocked":
        return sight.reach is not None and how.values is None and not how.listening
    return name in KERNELS


def sparse(sight: Sight) -> bool:
    """Does a blocked kernel leave much out? What the mask's reach, or its holes, say without a tensor."""
    if sight.reach is None or sight.reach != (None, None):
        return sight.reach is not None
    return sight.plain and sight.mask is not None and count(sight.cuts()) < SPARE * sight.q.places.shape[1] ** 2


def by_shape(q: Tensor, k: Tensor, sight: Sight, how: Scoring) -> str:
    """The rule used where nothing was measured: see docs/decisions.md for the figures behind it."""
    t, s, cpu = q.shape[1], k.shape[1], q.device.type == "cpu"
    if cpu and t >= 2 * BLOCK and able("blocked", sight, how) and not transformed():
        # rows that are seen whole, too: in bf16 a few heads at a time are the quicker, where all may be held
        held = q.shape[0] * q.shape[2] * t * s * q.element_size() if torch.is_grad_enabled() else 0
        if sparse(sight) or (how.fused and q.dtype == torch.bfloat16 and held <= HELD):
            return "blocked"
    if (not cpu or s >= LONG) and t > 1 and able("sdpa", sight, how):
        return "sdpa"
    return "matmul"


def attend(q: Tensor, k: Tensor, v: Tensor, sight: Sight, how: Scoring) -> Tensor:
    """Attention of q over k and v as the sight allows, by the kernel the sight carries. [B, T, H, Kv]."""
    if sight.placed.bias is not None:
        how = replace(how, bias=sight.placed.bias if how.bias is None else sight.placed.bias + how.bias)
    name = sight.kernel
    if name is None or not able(name, sight, how):  # a forced kernel steps aside only for what it cannot do
        name = by_shape(q, k, sight, how)
    return KERNELS[name](q, k, v, sight, how)


def use(module: nn.Module, kernel: str | None) -> list[str]:
    """Force one kernel (or None: the rule of shapes) on every field of a module; returns the fields' names."""
    if kernel is not None and kernel not in KERNELS:
        raise ValueError(f"unknown attention kernel {kernel!r}; there are {', '.join(KERNELS)}")
    fields = {name: part for name, part in module.named_modules() if isinstance(part, Field)}
    for field in fields.values():
        field.kernel = kernel
    return list(fields)
