"""The blocked attention kernel: queries in blocks, each against only the keys its mask can reach.

Half the work of a causal row, and a row's length times the window's of a windowed one. The backward pass is written
out, since autograd's own would mask twice, add slices of zeros, and keep what it does not need.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK = 64  # queries per block at the least
Span = tuple[int, int, int, int]  # queries start..stop, keys low..high


def spans(length: int, back: int | None, ahead: int | None) -> list[Span]:
    """Blocks of queries and the keys that they can reach `back` and `ahead` of them (None: without bound). About four
    blocks in a causal row; blocks no wider than a window, or `BLOCK`, in a windowed one."""
    size = max(BLOCK, length // 4) if back is None else max(BLOCK, min(back + 1, length))
    size = -(-size // 16) * 16  # matrix products go by 16 rows
    found = []
    for start in range(0, length, size):
        stop = min(start + size, length)
        low = 0 if back is None else max(0, start - back)
        high = length if ahead is None else min(length, stop + ahead)
        found.append((start, stop, low, high))
    return found


def within(x: Tensor | None, span: Span) -> Tensor | None:
    """The part of a [.., T, S] tensor (either may be 1) that belongs to a span."""
    if x is None:
        return None
    start, stop, low, high = span
    x = x if x.shape[-2] == 1 else x[..., start:stop, :]
    return x if x.shape[-1] == 1 else x[..., low:high]


class Plain(torch.autograd.Function):
    """softmax(mask(q kᵀ)) v over blocks, nothing else. q [B, H, T, K] (scaled), k [B·G, S, K], v [B·G, S, Kv] ->
    [B, H, T, Kv], all in one precision.

    mask: bool [B or 1, 1, T, S], or None: causal, where only the last keys of a span need hiding and no row is empty.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, cuts: list[Span]) -> Tensor:
        b, h, t, _ = q.shape
        groups, weights = k.shape[0], []
        out = v.new_empty(b, h, t, v.shape[-1])
        for span in cuts:
            start, stop, low, high = span
            block = q[:, :, start:stop].reshape(groups, -1, q.shape[-1])  # [B·G, H/G·n, K]
            scores = torch.bmm(block, k[:, low:high].transpose(1, 2))  # [B·G, H/G·n, s]
            scores = scores.view(b, h, stop - start, high - low)  # [B, H, n, s]
            probs = _softmax(scores, mask, span)  # [B, H, n, s]
            weights.append(probs)
            mixed = torch.bmm(probs.view(groups, -1, high - low), v[:, low:high])  # [B·G, H/G·n, Kv]
            out[:, :, start:stop] = mixed.view(b, h, stop - start, -1)  # [B, H, n, Kv]
        ctx.save_for_backward(q, k, v, *weights)
        ctx.cuts = cuts
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (grad,) = grad_outputs
        q, k, v, *weights = ctx.saved_tensors
        b, h, _, width = q.shape
        groups = k.shape[0]
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for (start, stop, low, high), probs in zip(ctx.cuts, weights, strict=True):
            n, s = stop - start, high - low
            flat = probs.view(groups, -1, s)  # [B·G, H/G·n, s]
            out = grad[:, :, start:stop].reshape(groups, flat.shape[1], -1)  # [B·G, H/G·n, Kv]
            grad_v[:, low:high].baddbmm_(flat.transpose(1, 2), out)
            d = torch.bmm(out, v[:, low:high].transpose(1, 2))  # [B·G, H/G·n, s]
            d = torch.ops.aten._softmax_backward_data(d, flat, -1, flat.dtype)  # [B·G, H/G·n, s]
            grad_q[:, :, start:stop] = torch.bmm(d, k[:, low:high]).view(b, h, n, width)  # [B, H, n, K]
            block = q[:, :, start:stop].reshape(groups, -1, width)  # [B·G, H/G·n, K]
            grad_k[:, low:high].baddbmm_(d.transpose(1, 2), block)
        return grad_q, grad_k, grad_v, None, None


def _softmax(scores: Tensor, mask: Tensor | None, span: Span) -> Tensor:
    """Weights of one block; rows that see nothing become zeros. scores [B, H, n, s] is overwritten.

    They keep the scores' precision, which a GPU's autocast would widen and the backward pass relies on.
    """
    hide = torch.finfo(scores.dtype).min
    if mask is None:  # causal: keys low..start are all seen, the square at the end is a triangle
        start, stop, low, _ = span
        future = torch.ones(stop - start, stop - start, dtype=torch.bool, device=scores.device).triu_(1)
        scores[..., start - low :].masked_fill_(future, hide)
        return scores.softmax(dim=-1, dtype=scores.dtype)
    hidden = ~(within(mask, span))  # type: ignore[operator]
    return scores.masked_fill_(hidden, hide).softmax(dim=-1, dtype=scores.dtype).masked_fill_(hidden, 0.0)
