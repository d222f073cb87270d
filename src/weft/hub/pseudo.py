"""Pseudo-log-likelihood (Salazar et al. 2020): what a masked language model makes of a text, token by token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch

from weft.hub.hidden import Hiding


class Window(NamedTuple):
    """What is read of a text at once, start..end, and which tokens of it are asked for, first..stop."""

    start: int
    end: int
    first: int
    stop: int


def windows(length: int, room: int, stride: int) -> Iterator[Window]:
    """Windows of at most `room` tokens that begin `stride` after one another and ask for every token of a text of
    `length` once: the one in whose middle it stands, so that it has (room - stride) // 2 tokens in sight on either
    side, where the text has as many. ValueError for a stride that is not from 1 to `room`."""
    if not 1 <= stride <= room:
        raise ValueError(f"stride = {stride}, but it is from 1 to {room}, the tokens of a text that are read at once")
    margin = (room - stride) // 2
    count = 1 + max(0, -(-(length - room) // stride))
    for number in range(count):
        start = number * stride
        first = start + margin if number else 0
        stop = start + stride + margin if number < count - 1 else length
        yield Window(start, min(start + room, length), first, stop)


@torch.no_grad()
def pseudo_nats(
    hiding: Hiding,
    ids: Sequence[int],
    *,
    stride: int,
    batch: int,
    advance: Callable[[int], None] = lambda more: None,
) -> float:
    """Σ over a text's tokens of -log p(token | all others of its window), each hidden in turn, in a pass of its own: in
    nats. What stands around a text is in sight and is not asked for. batch: passes at once. advance: hears how many
    tokens more were asked for."""
    total = 0.0
    for window in windows(len(ids), hiding.room, stride):
        row = list(ids[window.start : window.end])
        for begin in range(window.first, window.stop, batch):
            asked = [place - window.start for place in range(begin, min(begin + batch, window.stop))]
            rows = [[*row[:place], hiding.mask, *row[place + 1 :]] for place in asked]
            x = hiding.states(rows)  # [B, T, D]
            places = torch.tensor(asked, device=x.device) + hiding.before
            hidden = x[torch.arange(len(asked), device=x.device), places]  # [B, D]
            total += hiding.nats(hidden, torch.tensor([row[place] for place in asked], device=x.device))
            advance(len(asked))
    return total
