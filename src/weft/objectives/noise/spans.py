"""Which places of a text are hidden. Everything is drawn from the generator that is given.

n tokens; a share of them is at least one of them. `starts`, bool [n]: where a word may begin, see `Words.starts`; the
first token always begins one.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

Span = tuple[int, int]  # its first place, and the one behind its last


def check_share(share: float) -> None:
    """ValueError for a share that cannot be hidden."""
    if not 0 < share <= 1:
        raise ValueError(f"share = {share} of a text cannot be hidden: it is above 0 and at most 1")


def check_mean(mean: float) -> None:
    """ValueError for a length that spans cannot have on average."""
    if not 0 < mean < float("inf"):
        raise ValueError(f"mean = {mean} is no mean length of spans: it is above 0")


def wanted(n: int, share: float) -> int:
    """How many of n are a share: at least one, where there is any. ValueError for a share that cannot be."""
    check_share(share)
    return min(n, max(1, round(share * n)))


def choose(n: int, share: float, draw: Generator) -> Tensor:
    """Single places, bool [n]: exactly max(1, round(share · n)), every such set equally likely."""
    hidden = torch.zeros(n, dtype=torch.bool)
    hidden[torch.randperm(n, generator=draw)[: wanted(n, share)]] = True
    return hidden


def segments(n: int, share: float, mean: float, draw: Generator) -> Tensor:
    """Random spans, bool [n] (Raffel et al. 2020, §3.3.4, as their code defines them).

    round(share · n) tokens are hidden, at least one, and at least one is not; in round(that / mean) spans, at least
    one. Spans that are hidden and spans that are not take turns, beginning with one that is not, so that of n = 1
    nothing is hidden, and of any longer text the last token is. Every such mask is equally likely. ValueError for a
    share or a mean that cannot be.

    More spans than tokens that stay would have to touch: there are as many as stay, where their code would miscount.
    """
    check_mean(mean)
    hidden = min(wanted(n, share), n - 1)
    if hidden < 1:
        return torch.zeros(n, dtype=torch.bool)
    count = min(max(1, round(hidden / mean)), n - hidden)
    lengths = torch.stack((_lengths(n - hidden, count, draw), _lengths(hidden, count, draw)), 1)  # [count, 2]
    return torch.tensor([False, True]).repeat(count).repeat_interleave(lengths.flatten())  # [n]


def geometric(starts: Tensor, share: float, draw: Generator, p: float = 0.2, longest: int = 10) -> list[Span]:
    """Spans of whole words (Joshi et al. 2020, §3.1), until a share of the tokens is hidden; in order.

    A span begins at a word drawn from those that are not hidden yet. Its length in words is drawn from a geometric
    distribution cut at `longest` and scaled to 1 (mean 3.8 words by default, theirs); it ends sooner before a hidden
    word, at the end of the text, and where the share is reached. So at least the share is hidden, and less than one
    word more. What touches becomes one span, as in their code: a token that stays is on each side of a span, where the
    text goes on. Their code cuts the last word where the share is reached; here words stay whole. ValueError for a
    share, p or length that cannot be.
    """
    if not 0 < p <= 1 or longest < 1:
        raise ValueError(f"p = {p} and longest = {longest}: p is above 0 and at most 1, the longest span at least 1")
    edges = _edges(starts)
    left, bounds, count = wanted(len(starts), share), edges.tolist(), len(edges) - 1
    if not count:
        return []
    # Going through all words in a random order is to draw, each time, one of those that are not hidden.
    order = torch.randperm(count, generator=draw).tolist()
    odds = (1 - p) ** torch.arange(longest, dtype=torch.float64)
    lengths = (torch.multinomial(odds, count, replacement=True, generator=draw) + 1).tolist()
    hidden = [False] * count
    for first, length in zip(order, lengths, strict=True):
        for word in range(first, min(first + length, count)):
            if left <= 0 or hidden[word]:
                break
            hidden[word] = True
            left -= bounds[word + 1] - bounds[word]
        if left <= 0:
            break
    return runs(torch.tensor(hidden).repeat_interleave(edges.diff()))  # of [n]


def whole_words(starts: Tensor, share: float, draw: Generator) -> Tensor:
    """Single words, all their tokens, bool [n] (whole word masking, Devlin et al.'s code of 2019).

    Words are taken in a random order until a share of the tokens is hidden; one that would go beyond it is passed
    over. Where every word does, the first is taken all the same. ValueError for a share that cannot be.
    """
    edges = _edges(starts)
    left, sizes = wanted(len(starts), share), edges.diff()
    order = torch.randperm(len(sizes), generator=draw).tolist()
    taken, lengths = [False] * len(order), sizes.tolist()
    for word in order:
        if lengths[word] <= left:
            taken[word] = True
            left -= lengths[word]
        if not left:
            break
    if order and not any(taken):
        taken[order[0]] = True
    return torch.tensor(taken, dtype=torch.bool).repeat_interleave(sizes)  # [n]


def poisson(starts: Tensor, share: float, draw: Generator, mean: float = 3.0) -> list[Span]:
    """Spans of whole words whose lengths are Poisson(mean), in order; of length 0: (place, place), an insertion (text
    infilling, Lewis et al. 2020, §2.2).

    Lengths are drawn until exactly a share of the words is hidden, at least one; the last is cut there. Every way to
    lay them out is equally likely: spans may touch, and never overlap, as they may in the authors' code. For spans of
    tokens let every token begin a word. ValueError for a share or a mean that cannot be.
    """
    check_mean(mean)
    edges = _edges(starts)
    words = len(edges) - 1
    budget = wanted(words, share)
    if not budget:
        return []
    rate = torch.full((budget,), mean, dtype=torch.float64)
    lengths = torch.poisson(rate, generator=draw)
    while lengths.sum() < budget:
        lengths = torch.cat((lengths, torch.poisson(rate, generator=draw)))
    sums = lengths.long().cumsum(0)
    count = int((sums < budget).sum()) + 1
    sums[count - 1] = budget
    lengths = sums[:count].diff(prepend=torch.zeros(1, dtype=torch.int64))
    lengths = lengths[torch.randperm(count, generator=draw)]  # else the one that was cut would always come last
    # Among the words that stay, each span is one place of a row of words and spans.
    places = torch.randperm(words - budget + count, generator=draw)[:count].sort().values
    stops = places - torch.arange(count) + lengths.cumsum(0)  # in words
    return list(zip(edges[stops - lengths].tolist(), edges[stops].tolist(), strict=True))


def covered(spans: list[Span], n: int) -> Tensor:
    """The places that spans hide, bool [n]."""
    hidden = torch.zeros(n, dtype=torch.bool)
    for start, stop in spans:
        hidden[start:stop] = True
    return hidden


def firsts(hidden: Tensor) -> Tensor:
    """The first place of each run of hidden ones, bool [n]."""
    return hidden & ~torch.cat((hidden.new_zeros(1), hidden[:-1]))[: len(hidden)]


def runs(hidden: Tensor) -> list[Span]:
    """The runs of hidden places, bool [n], in order."""
    starts = firsts(hidden).nonzero()[:, 0]
    stops = firsts(hidden.flip(0)).flip(0).nonzero()[:, 0] + 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _edges(starts: Tensor) -> Tensor:
    """Where each word begins, and the end of the text: int64 [words + 1]."""
    inner = starts[1:].nonzero()[:, 0] + 1
    ends = torch.tensor([0, len(starts)])
    return torch.cat((ends[:1], inner, ends[1:])) if len(starts) else ends[:1]


def _lengths(items: int, parts: int, draw: Generator) -> Tensor:
    """`items` in so many parts, none of them empty, int64 [parts]; every way to cut them equally likely."""
    cuts = torch.randperm(items - 1, generator=draw)[: parts - 1].sort().values + 1
    return cuts.diff(prepend=torch.zeros(1, dtype=torch.int64), append=torch.tensor([items]))
