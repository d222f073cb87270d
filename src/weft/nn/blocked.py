"""The blocked attention kernel: queries in blocks, each against only the keys its mask can reach, and on a CPU a few
heads at a time, whose scores stay in its cache from the product that makes them to the one that uses them.

Half the work of a causal row, and a row's length times the window's of a windowed one. The backward pass is written
out, since autograd's own would mask twice, add slices of zeros, and keep what it does not need.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd.function import once_differentiable

from weft.nn.mask import Mask, Ranges

BLOCK = 64  # queries per block at the least
FULL = 512  # queries per block where every key is seen: no work is saved, but fewer scores are made at a time
CALL = 4096  # scores that take as long as what a block costs besides its scores
CACHED = 2**19  # bytes of scores that a core computes at a time
Span = tuple[int, int, Ranges]  # queries start..stop, and the ranges of keys low..high that they can reach


def spans(length: int, back: int | None, ahead: int | None, mask: Mask | None = None) -> tuple[Span, ...]:
    """Blocks of queries and the keys that they can reach `back` and `ahead` of them (None: without bound), or, in a row
    that is one document, as `mask` says. About four blocks in a causal row; blocks no wider than a window, or `BLOCK`,
    in a windowed one; of the size that makes the least work where a mask without a bound leaves holes."""
    if mask is None and back is None and ahead is None:
        return _cut(length, min(length, FULL), None, None, None)
    size = max(BLOCK, length // 4) if back is None else max(BLOCK, min(back + 1, length))
    if mask is None or back is not None:
        return _cut(length, size, back, ahead, mask)
    sizes = [size, *(BLOCK << power for power in range(8) if BLOCK << power < size)]
    tried = [_cut(length, each, back, ahead, mask) for each in sizes]
    return min(tried, key=lambda cuts: count(cuts) + CALL * len(cuts))


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


class Part(NamedTuple):
    """Some heads of some rows, as slices of B·G, of B and of H: whole rows, or some heads of one."""

    groups: slice
    rows: slice
    heads: slice

    @property
    def row_count(self) -> int:
        return self.rows.stop - self.rows.start

    def of(self, x: Tensor) -> Tensor:
        """What belongs to it of [B or 1, H or 1, .., ..]."""
        x = x if x.shape[0] == 1 else x[self.rows]
        return x if x.shape[1] == 1 else x[:, self.heads]


def parts(rows: int, groups: int, heads: int, scores: int, *, whole: bool) -> list[Part]:
    """All heads of all rows, in parts of which each core has about `CACHED` bytes of scores at a time. scores: the
    bytes of those of one key head, of a block. whole: in one part."""
    size = rows * groups if whole else CACHED * torch.get_num_threads() // max(1, scores)
    size = max(1, min(size, rows * groups))
    if size >= groups:
        size -= size % groups
    else:
        size = max(each for each in range(1, size + 1) if groups % each == 0)
    shared, found = heads // groups, []
    for start in range(0, rows * groups, size):
        stop, first = min(start + size, rows * groups), start % groups * shared
        of_row = slice(0, heads) if size >= groups else slice(first, first + size * shared)
        found.append(Part(slice(start, stop), slice(start // groups, -(-stop // groups)), of_row))
    return found


class Fused(torch.autograd.Function):
    """softmax(mask(q kᵀ + bias)) v over blocks and parts, nothing else. q [B·G, H/G, T, K] (scaled), k [B·G, S, K],
    v [B·G, S, Kv], bias [B or 1, H or 1, T or 1, S or 1] or None -> [B·G, H/G, T, Kv], all in one precision.

    shape: (B, G, H). causal: the last keys of a span are hidden from all but the last query, and no row is empty.
    keep: a backward pass follows, and reads the weights. masks: of each block, bool, broadcastable to [B, H, n, s];
    none: nothing is hidden. It has a first derivative and no second.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, shape: tuple[int, int, int],
        cuts: tuple[Span, ...], causal: bool, keep: bool, *masks: Tensor,
    ) -> Tensor:  # fmt: skip
        plan, weights = [(span, _parts(q, shape, span)) for span in cuts], []
        out = v.new_empty(*q.shape[:3], v.shape[-1])
        for number, (span, block_parts) in enumerate(plan):
            start, stop, ranges = span
            keys, values, block_bias = gather(k, ranges, 1), gather(v, ranges, 1), within(bias, span)
            hidden = _hidden(span, masks[number] if masks else None, causal, q.device)
            for part in block_parts:
                block = q[part.groups, :, start:stop].flatten(1, 2)  # [P, H/G·n, K]
                scores = torch.bmm(block, keys[part.groups].mT)  # [P, H/G·n, s]
                by_row = scores.view(part.row_count, -1, stop - start, scores.shape[-1])  # [b, h, n, s]
                if block_bias is not None:
                    by_row.add_(part.of(block_bias))
                probs = _softmax(by_row, None if hidden is None else part.of(hidden), empty=not causal)
                probs = probs.view_as(scores)  # [P, H/G·n, s]
                if keep:
                    weights.append(probs)
                mixed = torch.bmm(probs, values[part.groups])  # [P, H/G·n, Kv]
                out[part.groups, :, start:stop] = mixed.view(-1, q.shape[1], stop - start, mixed.shape[-1])
        ctx.save_for_backward(q, k, v, *weights)
        ctx.plan, ctx.masks, ctx.bias = plan, len(masks), None if bias is None else (bias.shape, bias.dtype)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (grad,) = grad_outputs
        q, k, v, *weights = ctx.saved_tensors
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        grad_bias = None
        if ctx.needs_input_grad[3]:  # summed over rows in fp32 at the least
            grad_bias = q.new_zeros(ctx.bias[0], dtype=torch.promote_types(q.dtype, torch.float32))
        kept = iter(weights)
        for span, block_parts in ctx.plan:
            start, stop, ranges = span
            keys, values = gather(k, ranges, 1), gather(v, ranges, 1)
            for part in block_parts:
                probs, out = next(kept), grad[part.groups, :, start:stop].flatten(1, 2)  # [P, H/G·n, s], [P, H/G·n, Kv]
                _add_product(grad_v[part.groups], ranges, probs.mT, out)
                d = torch.bmm(out, values[part.groups].mT)  # [P, H/G·n, s]
                d = torch.ops.aten._softmax_backward_data(d, probs, -1, probs.dtype)  # [P, H/G·n, s]
                if grad_bias is not None:
                    _add_bias(part.of(grad_bias), span, d.view(part.row_count, -1, stop - start, d.shape[-1]))
                moved = torch.bmm(d, keys[part.groups])  # [P, H/G·n, K]
                grad_q[part.groups, :, start:stop] = moved.view(-1, q.shape[1], stop - start, q.shape[-1])
                _add_product(grad_k[part.groups], ranges, d.mT, q[part.groups, :, start:stop].flatten(1, 2))
        grad_bias = None if grad_bias is None else grad_bias.to(ctx.bias[1])
        return grad_q, grad_k, grad_v, grad_bias, None, None, None, None, *[None] * ctx.masks


def _parts(q: Tensor, shape: tuple[int, int, int], span: Span) -> list[Part]:
    """Of one block of q [B·G, H/G, T, K]; one part on a GPU, for a compiler, and where nothing is computed."""
    start, stop, ranges = span
    keys = sum(high - low for low, high in ranges)
    whole = q.device.type != "cpu" or torch.compiler.is_compiling() or isinstance(q, FakeTensor)
    return parts(*shape, q.shape[1] * (stop - start) * keys * q.element_size(), whole=whole)


def _add_bias(total: Tensor, span: Span, d: Tensor) -> None:
    """d [b, h, n, s] added, summed over what a bias [b or 1, h or 1, T or 1, S or 1] does not distinguish."""
    start, stop, ranges = span
    total, d = total if total.shape[-2] == 1 else total[..., start:stop, :], d.to(total.dtype)
    if total.shape[-1] == 1:
        total += d.sum_to_size(total.shape)
        return
    for (low, high), each in zip(ranges, d.split([high - low for low, high in ranges], -1), strict=True):
        total[..., low:high] += each.sum_to_size(total[..., low:high].shape)


def _add_product(total: Tensor, ranges: Ranges, a: Tensor, b: Tensor) -> None:
    """a b [N, s, K] added to the places of some ranges of total [N, S, K]."""
    if len(ranges) == 1:
        ((low, high),) = ranges
        total[:, low:high].baddbmm_(a, b)
        return
    made = torch.bmm(a, b).split([high - low for low, high in ranges], 1)
    for (low, high), part in zip(ranges, made, strict=True):
        total[:, low:high] += part


def _hidden(span: Span, mask: Tensor | None, causal: bool, device: torch.device) -> Tensor | None:
    """What a block does not see, bool, broadcastable to [B, H, n, s]; of a causal one the square at its end alone, a
    triangle [1, 1, n, n], since it sees all keys before that."""
    if causal:
        start, stop, _ = span
        return torch.ones(1, 1, stop - start, stop - start, dtype=torch.bool, device=device).triu_(1)
    return None if mask is None else ~mask


def _softmax(scores: Tensor, hidden: Tensor | None, *, empty: bool) -> Tensor:
    """Weights of one block; rows that see nothing become zeros. scores [b, h, n, s] is overwritten. hidden: of the last
    keys, or all of them. empty: there may be such rows.

    They keep the scores' precision, which a GPU's autocast would widen and the backward pass relies on.
    """
    if hidden is not None:
        scores[..., scores.shape[-1] - hidden.shape[-1] :].masked_fill_(hidden, torch.finfo(scores.dtype).min)
    probs = scores.softmax(dim=-1, dtype=scores.dtype)
    return probs if hidden is None or not empty else probs.masked_fill_(hidden, 0.0)
