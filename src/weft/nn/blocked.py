"""The blocked attention kernel: queries in blocks, each against only the keys its mask can reach.

Half the work of a causal row, and a row's length times the window's of a windowed one. The backward pass is written
out, since autograd's own would mask twice, add slices of zeros, and keep what it does not need.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from weft.nn.mask import Mask, Ranges

BLOCK = 64  # queries per block at the least
CALL = 4096  # scores that take as long as what a block costs besides its scores
Span = tuple[int, int, Ranges]  # queries start..stop, and the ranges of keys low..high that they can reach


def spans(length: int, back: int | None, ahead: int | None, mask: Mask | None = None) -> tuple[Span, ...]:
    """Blocks of queries and the keys that they can reach `back` and `ahead` of them (None: without bound), or, in a row
    that is one document, as `mask` says. About four blocks in a causal row; blocks no wider than a window, or `BLOCK`,
    in a windowed one; of the size that makes the least work where a mask without a bound leaves holes."""
    size = max(BLOCK, length // 4) if back is None else max(BLOCK, min(back + 1, length))
    if mask is None or back is not None:
        return _cut(length, size, back, ahead, mask)
    sizes = [size, *(BLOCK << power for power in range(8) if BLOCK << power < size)]
    return min((_cut(length, each, back, ahead, mask) for each in sizes), key=_work)


def _cut(length: int, size: int, back: int | None, ahead: int | None, mask: Mask | None) -> tuple[Span, ...]:
    """See `spans`; size: of the blocks."""
    size = -(-size // 16) * 16  # matrix products go by 16 rows
    found: list[Span] = []
    for start in range(0, length, size):
        stop = min(start + size, length)
        low = 0 if back is None else max(0, start - back)
        ranges = ((low, length if ahead is None else min(length, stop + ahead)),)
        if mask is not None:
            ranges = mask.spans(start, stop, length) or ((start, stop),)  # which the mask hides
        found.append((start, stop, ranges))
    return tuple(found)


def _work(cuts: tuple[Span, ...]) -> int:
    return count(cuts) + CALL * len(cuts)


def count(cuts: tuple[Span, ...]) -> int:
    """How many scores of a head are computed."""
    return sum((stop - start) * (high - low) for start, stop, ranges in cuts for low, high in ranges)


def gather(x: Tensor, ranges: Ranges, dim: int) -> Tensor:
    """The places of some ranges, side by side; a view where there is one range."""
    parts = [x.narrow(dim, low, high - low) for low, high in ranges]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def within(x: Tensor | None, span: Span) -> Tensor | None:
    """The part of a [.., T, S] tensor (either may be 1) that belongs to a span."""
    if x is None:
        return None
    start, stop, ranges = span
    x = x if x.shape[-2] == 1 else x[..., start:stop, :]
    return x if x.shape[-1] == 1 else gather(x, ranges, -1)


class Plain(torch.autograd.Function):
    """softmax(mask(q kᵀ)) v over blocks, nothing else. q [B, H, T, K] (scaled), k [B·G, S, K], v [B·G, S, Kv] ->
    [B, H, T, Kv], all in one precision.

    masks: of each block, bool, broadcastable to [B, H, n, s]; none: causal, where only the last keys of a span need
    hiding and no row is empty.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, cuts: tuple[Span, ...], *masks: Tensor) -> Tensor:
        b, h, t, _ = q.shape
        groups, weights = k.shape[0], []
        out = v.new_empty(b, h, t, v.shape[-1])
        for number, (start, stop, ranges) in enumerate(cuts):
            block = q[:, :, start:stop].reshape(groups, -1, q.shape[-1])  # [B·G, H/G·n, K]
            products = torch.bmm(block, gather(k, ranges, 1).transpose(1, 2))  # [B·G, H/G·n, s]
            products = products.view(b, h, stop - start, -1)  # [B, H, n, s]
            probs = _softmax(products, masks[number] if masks else None)  # [B, H, n, s]
            weights.append(probs)
            mixed = torch.bmm(probs.view(groups, -1, probs.shape[-1]), gather(v, ranges, 1))  # [B·G, H/G·n, Kv]
            out[:, :, start:stop] = mixed.view(b, h, stop - start, -1)  # [B, H, n, Kv]
        ctx.save_for_backward(q, k, v, *weights)
        ctx.cuts, ctx.masks = cuts, len(masks)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (grad,) = grad_outputs
        q, k, v, *weights = ctx.saved_tensors
        b, h, _, width = q.shape
        groups = k.shape[0]
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for (start, stop, ranges), probs in zip(ctx.cuts, weights, strict=True):
            flat = probs.view(groups, -1, probs.shape[-1])  # [B·G, H/G·n, s]
            out = grad[:, :, start:stop].reshape(groups, flat.shape[1], -1)  # [B·G, H/G·n, Kv]
            _add_product(grad_v, ranges, flat.transpose(1, 2), out)
            d = torch.bmm(out, gather(v, ranges, 1).transpose(1, 2))  # [B·G, H/G·n, s]
            d = torch.ops.aten._softmax_backward_data(d, flat, -1, flat.dtype)  # [B·G, H/G·n, s]
            grad_q[:, :, start:stop] = torch.bmm(d, gather(k, ranges, 1)).view(
                b, h, stop - start, width
            )  # [B, H, n, K]
            block = q[:, :, start:stop].reshape(groups, -1, width)  # [B·G, H/G·n, K]
            _add_product(grad_k, ranges, d.transpose(1, 2), block)
        return grad_q, grad_k, grad_v, None, *[None] * ctx.masks


def _add_product(total: Tensor, ranges: Ranges, a: Tensor, b: Tensor) -> None:
    """a b [N, s, K] added to the places of some ranges of total [N, S, K]."""
    if len(ranges) == 1:
        ((low, high),) = ranges
        total[:, low:high].baddbmm_(a, b)
        return
    made = torch.bmm(a, b).split([high - low for low, high in ranges], 1)
    for (low, high), part in zip(ranges, made, strict=True):
        total[:, low:high] += part


def _softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Weights of one block; rows that see nothing become zeros. scores [B, H, n, s] is overwritten.

    They keep the scores' precision, which a GPU's autocast would widen and the backward pass relies on.
    """
    hide = torch.finfo(scores.dtype).min
    if mask is None:  # causal: all but the last keys are seen, the square at the end is a triangle
        n, s = scores.shape[-2:]
        future = torch.ones(n, n, dtype=torch.bool, device=scores.device).triu_(1)
        scores[..., s - n :].masked_fill_(future, hide)
        return scores.softmax(dim=-1, dtype=scores.dtype)
    hidden = ~mask
    return scores.masked_fill_(hidden, hide).softmax(dim=-1, dtype=scores.dtype).masked_fill_(hidden, 0.0)
