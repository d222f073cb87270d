"""Sums over what came before, in chunks: weights within a chunk, one matrix carried from each to the next.

Shapes: N chunks of C places; F features; V = Kv + 1 values, the last of which counts. Weights are q · k and may not be
negative; nothing is divided yet. Documents of a row lie side by side (see `Layout`); 0 is padding and is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

Sum = tuple[Tensor, Tensor]  # Σ k vᵀ over the newest document of each row [B, G, F, V], and that document's number [B]


def chunks(x: Tensor, groups: int, size: int) -> Tensor:
    """[B, T, H, K] -> [B, G, N, H/G·C, K]; zeros where the last chunk is not full."""
    b, t, h, width = x.shape
    x = functional.pad(x, (0, 0, 0, 0, 0, -t % size)).view(b, -1, size, groups, h // groups, width)
    return x.permute(0, 3, 1, 4, 2, 5).reshape(b, groups, -1, h // groups * size, width)


def rows(x: Tensor, size: int, length: int) -> Tensor:
    """The way back: [B, G, N, H/G·C, V] -> [B, T, H, V]."""
    b, g, n, _, width = x.shape
    x = x.view(b, g, n, -1, size, width).permute(0, 2, 4, 1, 3, 5)  # [B, N, C, G, H/G, V]
    return x.reshape(b, n * size, -1, width)[:, :length]


def inside(q: Tensor, k: Tensor, v: Tensor, segments: Tensor | None, *, causal: bool) -> Tensor:
    """What queries get from keys of their own chunk, [B, G, N, H/G·C, V]. segments [B, N, C]; None: one document."""
    size = k.shape[-2]
    weights = q @ k.mT  # [B, G, N, H/G·C, C]
    seen = torch.ones(size, size, dtype=torch.bool, device=q.device)
    seen = seen.tril() if causal else seen
    if segments is not None:
        same = (segments[..., :, None] == segments[..., None, :]) & (segments > 0)[..., None]  # [B, N, C, C]
        seen = (seen & same)[:, None, :, None]  # [B, 1, N, 1, C, C]
    weights.unflatten(-2, (-1, size)).masked_fill_(~seen, 0.0)  # [B, G, N, H/G, C, C]
    return weights @ v


def borders(segments: Tensor, first: Tensor) -> Tensor:
    """The document at each border of chunks [B, N, C]: before the first, after each. [B, N + 1]; padding belongs to
    what came before it. first [B]: before the row, 0 for none."""
    line = torch.cat((first[:, None], segments.flatten(1)), dim=1)  # [B, 1 + N·C]
    place = torch.arange(line.shape[1], device=line.device)
    newest = torch.where(line != 0, place, 0).cummax(dim=1).values  # [B, 1 + N·C]
    return line.gather(1, newest)[:, :: segments.shape[-1]]


def carried(
    q: Tensor, k: Tensor, v: Tensor, segments: Tensor | None, ends: Tensor | None, first: Tensor | None
) -> tuple[Tensor, Tensor]:
    """What queries get from the chunks before theirs [B, G, N, H/G·C, V], and the sum that the last chunk leaves behind
    [B, G, F, V]. segments [B, N, C] with their `borders`; None: one document. first: the sum before the row."""
    if segments is None or ends is None:
        sums = k.mT @ v  # [B, G, N, F, V]
        sums = torch.cat((torch.zeros_like(sums[:, :, :1]), sums), dim=2).cumsum(dim=2)  # [B, G, N + 1, F, V]
        return q @ sums[:, :, :-1], sums[:, :, -1]
    stays = segments == ends[:, 1:, None]  # [B, N, C]
    sums = k.mT @ (v * stays[:, None, ..., None])  # [B, G, N, F, V], of the document at the end of each chunk
    first = torch.zeros_like(sums[:, :, 0]) if first is None else first
    sums = torch.cat((first[:, :, None], sums), dim=2)  # [B, G, N + 1, F, V]
    goes_on = (ends[:, :, None] == ends[:, None, :]).tril() & (ends > 0)[:, :, None]  # [B, N + 1, N + 1]
    sums = (goes_on[:, None].to(sums.dtype) @ sums.flatten(-2)).view_as(sums)  # [B, G, N + 1, F, V]
    seen = (segments == ends[:, :-1, None]) & (segments > 0)  # [B, N, C]
    mixed = (q @ sums[:, :, :-1]).unflatten(-2, (-1, segments.shape[-1]))  # [B, G, N, H/G, C, V]
    return (mixed * seen[:, None, :, None, :, None]).flatten(-3, -2), sums[:, :, -1]


def behind(q: Tensor, k: Tensor, v: Tensor, segments: Tensor) -> Tensor:
    """What queries get from the chunks after theirs, [B, G, N, H/G·C, V]."""
    ends = borders(segments.flip(1, 2), torch.zeros_like(segments[:, 0, 0]))  # [B, N + 1]
    return carried(q.flip(2), k.flip(2), v.flip(2), segments.flip(1), ends, None)[0].flip(2)


def held(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None) -> Tensor:
    """The definition: q [B, T, H, F], k [B, S, G, F], v [B, S, G, V], allowed [B or 1, 1, T, S] -> [B, T, H, V]."""
    weights = torch.einsum("btgrf,bsgf->bgrts", q.unflatten(2, (k.shape[2], -1)), k)  # [B, G, H/G, T, S]
    if allowed is not None:
        weights = weights.masked_fill(~allowed[:, :, None], 0.0)
    return torch.einsum("bgrts,bsgv->btgrv", weights, v).flatten(2, 3)  # [B, T, H, V]
