"""Linear attention in chunks: Σ (q · k) v is taken by its weights within a chunk, and from all earlier chunks (where a
field looks both ways, later ones too) by one matrix, their sum. `quadratic` is the definition, with all weights.

Shapes: N chunks of C places; F features; V = Kv + 1 values, the last of which counts. Weights are q · k and may not be
negative; nothing is divided yet. Documents of a row lie side by side (see `Layout`); 0 is padding and is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def to_chunks(x: Tensor, groups: int, size: int) -> Tensor:
    """[B, T, H, K] -> [B, G, N, H/G·C, K]; zeros where the last chunk is not full."""
    b, t, h, width = x.shape
    x = functional.pad(x, (0, 0, 0, 0, 0, -t % size)).view(b, -1, size, groups, h // groups, width)
    return x.permute(0, 3, 1, 4, 2, 5).reshape(b, groups, -1, h // groups * size, width)


def to_rows(x: Tensor, size: int, length: int) -> Tensor:
    """The way back: [B, G, N, H/G·C, V] -> [B, T, H, V]."""
    b, g, n, _, width = x.shape
    x = x.view(b, g, n, -1, size, width).permute(0, 2, 4, 1, 3, 5)  # [B, N, C, G, H/G, V]
    return x.reshape(b, n * size, -1, width)[:, :length]


def within_chunks(q: Tensor, k: Tensor, v: Tensor, segments: Tensor | None, *, causal: bool) -> Tensor:
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


def border_documents(segments: Tensor, carried_in: Tensor) -> Tensor:
    """The document at each border of chunks [B, N, C]: before the first, after each. [B, N + 1]; padding belongs to
    what came before it. carried_in [B]: the document before the row, 0 for none."""
    row = torch.cat((carried_in[:, None], segments.flatten(1)), dim=1)  # [B, 1 + N·C]
    place = torch.arange(row.shape[1], device=row.device)
    newest = torch.where(row != 0, place, 0).cummax(dim=1).values  # [B, 1 + N·C] the last place that is no padding
    return row.gather(1, newest)[:, :: segments.shape[-1]]


def from_earlier_chunks(
    q: Tensor, k: Tensor, v: Tensor, segments: Tensor | None, borders: Tensor | None, carried_in: Tensor | None
) -> tuple[Tensor, Tensor]:
    """What queries get from the chunks before theirs [B, G, N, H/G·C, V], and the sum that is carried out of the last
    chunk [B, G, F, V]. segments [B, N, C] with their `border_documents`; None: one document. carried_in: the sum before
    the row, of the document before it."""
    if segments is None or borders is None:
        sums = k.mT @ v  # [B, G, N, F, V]
        sums = torch.cat((torch.zeros_like(sums[:, :, :1]), sums), dim=2).cumsum(dim=2)  # [B, G, N + 1, F, V]
        return q @ sums[:, :, :-1], sums[:, :, -1]
    carried = segments == borders[:, 1:, None]  # [B, N, C] keys of the document at the end of their chunk
    sums = k.mT @ (v * carried[:, None, ..., None])  # [B, G, N, F, V]
    carried_in = torch.zeros_like(sums[:, :, 0]) if carried_in is None else carried_in
    sums = torch.cat((carried_in[:, :, None], sums), dim=2)  # [B, G, N + 1, F, V]
    same = (borders[:, :, None] == borders[:, None, :]).tril() & (borders > 0)[:, :, None]  # [B, N + 1, N + 1]
    sums = (same[:, None].to(sums.dtype) @ sums.flatten(-2)).view_as(sums)  # [B, G, N + 1, F, V], of all before
    seen = (segments == borders[:, :-1, None]) & (segments > 0)  # [B, N, C] whose document began in one of these
    mixed = (q @ sums[:, :, :-1]).unflatten(-2, (-1, segments.shape[-1]))  # [B, G, N, H/G, C, V]
    return (mixed * seen[:, None, :, None, :, None]).flatten(-3, -2), sums[:, :, -1]


def from_later_chunks(q: Tensor, k: Tensor, v: Tensor, segments: Tensor) -> Tensor:
    """What queries get from the chunks after theirs, the earlier ones of a row read backwards, [B, G, N, H/G·C, V]."""
    borders = border_documents(segments.flip(1, 2), torch.zeros_like(segments[:, 0, 0]))  # [B, N + 1]
    return from_earlier_chunks(q.flip(2), k.flip(2), v.flip(2), segments.flip(1), borders, None)[0].flip(2)


def quadratic(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None) -> Tensor:
    """The definition: q [B, T, H, F], k [B, S, G, F], v [B, S, G, V], allowed [B or 1, 1, T, S] -> [B, T, H, V]."""
    weights = torch.einsum("btgrf,bsgf->bgrts", q.unflatten(2, (k.shape[2], -1)), k)  # [B, G, H/G, T, S]
    if allowed is not None:
        weights = weights.masked_fill(~allowed[:, :, None], 0.0)
    return torch.einsum("bgrts,bsgv->btgrv", weights, v).flatten(2, 3)  # [B, T, H, V]
