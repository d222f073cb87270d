"""From scores to ids: temperature, top-k (Fan et al. 2018), nucleus (Holtzman et al. 2020); one generator per row."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_CANDIDATES = 1024  # a nucleus rarely needs more; sorting a whole vocabulary costs more than a small model's step


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn: temperature first, then the top_k best, then of those the nucleus of mass top_p.

    temperature: scores are divided by it; 0 takes the best token (greedy; the lowest id where several are best).
    top_k:       only the k best tokens; 0: all. At a tie for the last place the lower ids are kept.
    top_p:       only the smallest set of best tokens that holds this much probability, never fewer than one; 1: all.
    seed:        of the draws: one for all rows (each gets its own from `row_seeds`), or one for each row.

    ValueError for numbers that mean nothing.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | tuple[int, ...] = 0

    @property
    def greedy(self) -> bool:
        """True where nothing is left to chance."""
        return self.temperature == 0

    def __post_init__(self) -> None:
        if not (self.temperature >= 0 and math.isfinite(self.temperature)):
            raise ValueError(f"temperature = {self.temperature}, but it must be finite and at least 0 (0 is greedy)")
        if self.top_k < 0:
            raise ValueError(f"top_k = {self.top_k}, but it must be at least 0 (0 keeps every token)")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p = {self.top_p}, but it must be above 0 and at most 1 (1 keeps every token)")


GREEDY = Sampling(temperature=0.0)


def row_seeds(seed: int, rows: int) -> list[int]:
    """A seed for each row, a function of (seed, row) alone: row 1 of seed 0 is not row 0 of seed 1."""
    names = [f"{seed} {row}".encode() for row in range(rows)]
    return [int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little") >> 1 for name in names]


def row_generators(seed: int | Sequence[int], rows: int) -> list[torch.Generator]:
    """One generator a row: from `row_seeds` of one seed, or from a seed each; ValueError where they are not `rows`.

    They live on the CPU whatever the model's device, so that a seed means the same draws everywhere.
    """
    seeds = row_seeds(seed, rows) if isinstance(seed, int) else list(seed)
    if len(seeds) != rows:
        raise ValueError(f"{len(seeds)} seeds for {rows} rows: give one number for all, or one for each row")
    return [torch.Generator().manual_seed(number) for number in seeds]


def choose(logits: Tensor, sampling: Sampling, generators: Sequence[torch.Generator]) -> Tensor:
    """One id for each row: logits [B, V] -> int64 [B]; row i draws one number from generators[i], greedy none. (The
    sampling's seed is for who makes the generators.)

    Computed in fp32. Scores of -inf are never taken. ValueError where a row has no finite best score (NaN, all -inf).
    """
    scores = logits.float()
    best = finite_best(scores)  # [B, 1]
    if sampling.greedy:
        return scores.argmax(dim=-1)  # [B], the first where several are best
    if len(generators) != scores.shape[0]:
        raise ValueError(f"{len(generators)} generators for {scores.shape[0]} rows: give one for each")
    draws = torch.cat([torch.rand(1, generator=generator) for generator in generators])  # [B]
    return _draw(_probabilities(scores, best, sampling), draws.to(scores.device))  # [B]


def distribution(logits: Tensor, sampling: Sampling) -> Tensor:
    """What `choose` draws from: logits [B, V] -> probabilities fp32 [B, V], 0 for every token that is filtered out; a
    greedy choice has probability 1. ValueError as there.

    The same tokens and probabilities as the reference library's temperature, top-k and top-p in its order, but where
    scores tie for the last place: it keeps all of them, we the lowest ids.
    """
    scores = logits.float()
    best = finite_best(scores)
    if sampling.greedy:
        return torch.zeros_like(scores).scatter(-1, scores.argmax(dim=-1, keepdim=True), 1.0)
    return _probabilities(scores, best, sampling)


def _probabilities(scores: Tensor, best: Tensor, sampling: Sampling) -> Tensor:
    """Scores [B, V], the best of each row [B, 1] -> what is drawn from, [B, V]."""
    temperature = max(sampling.temperature, torch.finfo(torch.float32).tiny)  # 0 / 0 below
    return _filter((scores - best) / temperature, sampling).softmax(dim=-1)


def finite_best(scores: Tensor) -> Tensor:
    """The best score of each row, [B, V] -> [B, 1]; ValueError where it is not finite and nothing can be chosen."""
    best = scores.amax(dim=-1, keepdim=True)  # NaN where there is one
    broken = ~best.isfinite().squeeze(-1)
    if broken.any():
        row = int(broken.nonzero()[0])
        raise ValueError(
            f"row {row}: the best of {scores.shape[1]} scores is {float(best[row])}, so no token can be chosen: look "
            "for weights that are not finite, or for a precision too small for this model (fp16)"
        )
    return best


def _draw(probs: Tensor, draws: Tensor) -> Tensor:
    """The id at which the running sum of probs [B, V] passes the draw, a number in [0, 1) for each row -> [B]."""
    sums = probs.cumsum(dim=-1)  # [B, V]
    total = sums[:, -1:]
    point = torch.minimum(draws[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    # the first sum above the point: a token whose probability is 0 never raises the sum, and is never drawn
    return torch.searchsorted(sums, point, right=True).squeeze(-1)


def _filter(scores: Tensor, sampling: Sampling) -> Tensor:
    """-inf for every token outside top_k and top_p. scores [B, V] -> [B, V]."""
    vocab = scores.shape[1]
    count = min(sampling.top_k or vocab, vocab)
    if count < vocab:
        scores = _keep(scores, scores.topk(count).values, torch.full_like(scores[:, :1], count, dtype=torch.int64))
    if sampling.top_p >= 1:
        return scores
    total = scores.logsumexp(dim=-1, keepdim=True)  # [B, 1]
    ranked = scores.topk(min(count, _CANDIDATES)).values  # [B, M], best first
    before = _before(ranked, total)
    if ranked.shape[1] < count and bool((before[:, -1] < sampling.top_p).any()):
        ranked = scores.topk(count).values
        before = _before(ranked, total)
    size = (before < sampling.top_p).sum(dim=-1, keepdim=True).clamp(min=1)  # [B, 1]
    return _keep(scores, ranked, size)


def _before(ranked: Tensor, total: Tensor) -> Tensor:
    """The probability that lies before each rank, [B, M]; total [B, 1]: log of all that there is."""
    probs = (ranked - total).exp()
    return probs.cumsum(dim=-1) - probs


def _keep(scores: Tensor, ranked: Tensor, size: Tensor) -> Tensor:
    """The `size` best of each row, lower ids first among equals; the rest -inf. ranked [B, M], sorted; size [B, 1]."""
    last = ranked.gather(1, size - 1)  # [B, 1]
    kept = scores >= last
    if bool((kept.sum(dim=-1, keepdim=True) > size).any()):
        above, ties = scores > last, scores == last
        room = size - above.sum(dim=-1, keepdim=True)
        kept = above | (ties & (ties.cumsum(dim=-1) <= room))
    return scores.masked_fill(~kept, -torch.inf)
