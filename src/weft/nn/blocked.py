"""The blocked attention kernel: queries in blocks, each against only the keys its mask can reach, and on a CPU a few
heads at a time, whose scores stay in its cache from the product that makes them to the one that uses them.

Half the work of a causal row, and a row's length times the window's of a windowed one. The backward pass is written
out, since autograd's own would mask twice, add slices of zeros, and keep what it does not need.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from weft.nn.mask import Mask, Ranges

BLOCK = 64  # queries per block at the least
FULL = 512  # queries per block where every key is seen: nothing is saved, but scores are not held whole
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


class Part(NamedTuple):
    """Some heads of some rows, as slices of B·G, of B and of H: whole rows, or some heads of one."""

    groups: slice
    rows: slice
    heads: slice

    def of(self, x: Tensor) -> Tensor:
        """What belongs to it of [B or 1, H or 1, .., ..]."""
        x = x if x.shape[0] == 1 else x[self.rows]
        return x if x.shape[1] == 1 else x[:, self.heads]


def parts(rows: int, groups: int, heads: int, scores: int, device: torch.device) -> list[Part]:
    """All heads of all rows, in parts; scores: the bytes of those of one key head, of a block.

    On a CPU each core has about `CACHED` of them at a time. A GPU, and what is being compiled, has one part.
    """
    size = rows * groups
    if device.type == "cpu" and not torch.compiler.is_compiling():
        size = max(1, min(size, CACHED * torch.get_num_threads() // max(1, scores)))
    if size >= groups:
        size -= size % groups
    else:
        size = max(each for each in range(1, size + 1) if groups % each == 0)
    shared, found = heads // groups, list[Part]()
    for start in range(0, rows * groups, size):
        stop, first = min(start + size, rows * groups), start % groups * shared
        those = slice(0, heads) if size >= groups else slice(first, first + size * shared)
        found.append(Part(slice(start, stop), slice(start // groups, -(-stop // groups)), those))
    return found


class Fused(torch.autograd.Function):
    """softmax(mask(q kᵀ + bias)) v over blocks and parts, nothing else. q [B·G, H/G, T, K] (scaled), k [B·G, S, K],
    v [B·G, S, Kv], bias broadcastable to [B, H, T, S], or None -> [B·G, H/G, T, Kv], all in one precision.

    shape: (B, G, H). causal: the last keys of a span are hidden from all but the last query, and no row is empty.
    masks: of each block, bool, broadcastable to [B, H, n, s]; none: nothing is hidden.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, shape: tuple[int, int, int],
        cuts: tuple[Span, ...], causal: bool, *masks: Tensor,
    ) -> Tensor:  # fmt: skip
        weights, out = list[Tensor](), v.new_empty(*q.shape[:3], v.shape[-1])
        work = [(span, _parts(q, shape, span)) for span in cuts]
        for number, (span, those) in enumerate(work):
            start, stop, ranges = span
            keys, values, added = gather(k, ranges, 1), gather(v, ranges, 1), within(bias, span)
            mask = masks[number] if masks else None
            for part in those:
                block = _flat(q[part.groups, :, start:stop])  # [P, H/G·n, K]
                scores = torch.bmm(block, keys[part.groups].mT)  # [P, H/G·n, s]
                seen = scores.view(part.rows.stop - part.rows.start, -1, stop - start, scores.shape[-1])  # [b, h, n, s]
                if added is not None:
                    seen = seen.add_(part.of(added))
                probs = _softmax(seen, None if mask is None else part.of(mask), causal).view_as(scores)
                weights.append(probs)
                mixed = torch.bmm(probs, values[part.groups])  # [P, H/G·n, Kv]
                out[part.groups, :, start:stop] = mixed.view(-1, q.shape[1], stop - start, mixed.shape[-1])
        ctx.save_for_backward(q, k, v, bias, *weights)
        ctx.work, ctx.masks = work, len(masks)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (grad,) = grad_outputs
        q, k, v, bias, *weights = ctx.saved_tensors
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        learned = bias if ctx.needs_input_grad[3] else None
        grad_bias = None if learned is None else torch.zeros_like(learned, dtype=torch.float32)
        saved = iter(weights)
        for span, those in ctx.work:
            start, stop, ranges = span
            keys, values = gather(k, ranges, 1), gather(v, ranges, 1)
            for part in those:
                probs, out = next(saved), _flat(grad[part.groups, :, start:stop])  # [P, H/G·n, s], [P, H/G·n, Kv]
                _add_product(grad_v[part.groups], ranges, probs.mT, out)
                d = torch.bmm(out, values[part.groups].mT)  # [P, H/G·n, s]
                d = torch.ops.aten._softmax_backward_data(d, probs, -1, probs.dtype)  # [P, H/G·n, s]
                if grad_bias is not None:
                    rows = d.view(part.rows.stop - part.rows.start, -1, stop - start, d.shape[-1])  # [b, h, n, s]
                    _add_bias(part.of(grad_bias), span, rows)
                moved = torch.bmm(d, keys[part.groups])  # [P, H/G·n, K]
                grad_q[part.groups, :, start:stop] = moved.view(-1, q.shape[1], stop - start, q.shape[-1])
                _add_product(grad_k[part.groups], ranges, d.mT, _flat(q[part.groups, :, start:stop]))
        grad_bias = None if grad_bias is None else grad_bias.to(q.dtype)
        return grad_q, grad_k, grad_v, grad_bias, None, None, None, *[None] * ctx.masks


def _parts(q: Tensor, shape: tuple[int, int, int], span: Span) -> list[Part]:
    """Of one block of q [B·G, H/G, T, K]."""
    start, stop, ranges = span
    keys = sum(high - low for low, high in ranges)
    return parts(*shape, q.shape[1] * (stop - start) * keys * q.element_size(), q.device)


def _flat(x: Tensor) -> Tensor:
    """[P, H/G, n, K] -> [P, H/G·n, K]."""
    return x.reshape(x.shape[0], -1, x.shape[-1])


def _add_bias(total: Tensor, span: Span, d: Tensor) -> None:
    """d [b, h, n, s] added, summed over what a bias [b or 1, h or 1, T or 1, S or 1] does not distinguish."""
    start, stop, ranges = span
    total = total if total.shape[-2] == 1 else total[..., start:stop, :]
    if total.shape[-1] == 1:
        total += d.float().sum_to_size(total.shape)
        return
    for (low, high), each in zip(ranges, d.split([high - low for low, high in ranges], -1), strict=True):
        total[..., low:high] += each.float().sum_to_size(total[..., low:high].shape)


def _add_product(total: Tensor, ranges: Ranges, a: Tensor, b: Tensor) -> None:
    """a b [N, s, K] added to the places of some ranges of total [N, S, K]."""
    if len(ranges) == 1:
        ((low, high),) = ranges
        total[:, low:high].baddbmm_(a, b)
        return
    made = torch.bmm(a, b).split([high - low for low, high in ranges], 1)
    for (low, high), part in zip(ranges, made, strict=True):
        total[:, low:high] += part


def _softmax(scores: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Weights of one block; rows that see nothing become zeros. scores [b, h, n, s] is overwritten.

    They keep the scores' precision, which a GPU's autocast would widen and the backward pass relies on.
    """
    hide = torch.finfo(scores.dtype).min
    if causal:  # all but the last keys are seen, the square at the end is a triangle
        n, s = scores.shape[-2:]
        future = torch.ones(n, n, dtype=torch.bool, device=scores.device).triu_(1)
        scores[..., s - n :].masked_fill_(future, hide)
        return scores.softmax(dim=-1, dtype=scores.dtype)
    if mask is None:
        return scores.softmax(dim=-1, dtype=scores.dtype)
    hidden = ~mask
    return scores.masked_fill_(hidden, hide).softmax(dim=-1, dtype=scores.dtype).masked_fill_(hidden, 0.0)
