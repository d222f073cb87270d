"""Beam search: the `width` best rows so far are continued side by side, in one cache, over one memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from weft.generate.cached import Cached, check_ids
from weft.generate.engine import Reason, why
from weft.generate.sampling import finite_best


@dataclass(frozen=True)
class Beam:
    """A row that was found. ids: the new tokens, a stop id at the end included; logprob: of them all, in nats;
    score: logprob / length^alpha, what rows are ranked by."""

    ids: tuple[int, ...]
    logprob: float
    score: float
    reason: Reason


def beam_search(
    module: nn.Module,
    prompts: Sequence[Sequence[int]],
    *,
    width: int,
    new: int,
    best: int = 1,
    alpha: float = 0.6,
    stop: Collection[int] = (),
    start: int | Sequence[int] | None = None,
    context: int | None = None,
    chunk: int | None = None,
) -> list[list[Beam]]:
    """For every prompt the `best` rows found, best first; fewer where there are no more.

    A score is logprob / length^alpha, the length counting new tokens, the stop id among them: alpha 0 ranks by the
    probability of the whole row, 1 by the mean per token. Wu et al. (2016) divide by ((5 + length) / 6)^alpha instead.
    A row is finished when a stop id is among the `width` best continuations of its prompt, or at `new` tokens, or when
    the context is full. A prompt's search ends when no row that is still open can come to a better score than the
    `best`-th finished one: log-probabilities only fall, so the bound is its logprob / (longest length)^alpha, and
    stopping early never changes the result. Width 1 with alpha 0 is greedy decoding.

    A score does not depend on padding or on the other prompts. Other arguments and errors: see `decode`.
    """
    if width < 1 or not 1 <= best <= width:
        raise ValueError(
            f"width = {width} and best = {best}, but 1 <= best <= width: ask for fewer rows, or search wider"
        )
    if alpha < 0:
        raise ValueError(f"alpha = {alpha}, but it must be at least 0: 0 ranks by probability, 1 by its mean per token")
    cached = Cached(module, prompts, new=new, start=start, context=context, chunk=chunk)
    check_ids("stop", [list(stop)], cached.vocab)
    searches = [_Search(width, best, alpha, frozenset(stop), new, room) for room in cached.room]
    _run(cached, searches, width, len(frozenset(stop)))
    return [search.finished for search in searches]


@torch.inference_mode()
def _run(cached: Cached, searches: Sequence[_Search], width: int, stops: int) -> None:
    """Search on until every prompt is done; prompts that are done leave the cache when half of it is dead."""
    if all(search.done for search in searches):
        return
    rows = list(searches)  # whose rows are in the cache, `width` for each
    logits = cached.prefill().repeat_interleave(width, dim=0)  # [B, V], width rows for each prompt
    cached.fork(width)
    while True:
        values, places = _candidates(logits, rows, width, stops)
        for search, value, place in zip(rows, values, places, strict=True):
            if not search.done:
                search.extend(value, place, logits.shape[1])
        alive = [not search.done for search in rows]
        if not any(alive):
            return
        cached.reorder([number * width + beam for number, search in enumerate(rows) for beam in search.parents])
        if 2 * sum(alive) <= len(alive):
            going = [number for number, lives in enumerate(alive) if lives]
            cached.keep(going)
            rows, alive = [rows[number] for number in going], [True] * len(going)
        tokens = torch.tensor([token for search in rows for token in search.tokens], device=logits.device)
        logits = cached.step(tokens, alive)


def _candidates(
    logits: Tensor, rows: Sequence[_Search], width: int, stops: int
) -> tuple[list[list[float]], list[list[int]]]:
    """For each prompt the log-probabilities of its best continuations and where they are, beam · V + token.

    As many as there must be for `width` of them not to end in a stop id. logits [B·width, V].
    """
    finite_best(logits)
    sums = torch.tensor([search.sums for search in rows], device=logits.device)  # [B, width]
    totals = sums.flatten()[:, None] + logits.float().log_softmax(dim=-1)  # [B·width, V]
    totals = totals.view(len(rows), -1)  # [B, width·V]
    found = totals.topk(min(width * (1 + stops), totals.shape[1]))
    return found.values.tolist(), found.indices.tolist()


class _Search:
    """One prompt's search. Of its `width` open rows: sums, their log-probabilities (-inf: no row); parents, which open
    row of the step before each continues; tokens, with what."""

    def __init__(self, width: int, best: int, alpha: float, stop: frozenset[int], new: int, room: int) -> None:
        self.width, self.best, self.alpha = width, best, alpha
        self.stop, self.new, self.room = stop, new, room
        self.open: list[tuple[int, ...]] = [()] * width
        self.sums = [0.0] + [-torch.inf] * (width - 1)
        self.parents, self.tokens = list(range(width)), [0] * width
        self.finished = [] if room else [Beam((), 0.0, 0.0, "context")]
        self.done = not room

    def extend(self, values: Sequence[float], places: Sequence[int], vocab: int) -> None:
        """Take the best continuations, lower places first among equals; close those that end; see if that is all."""
        rows: list[tuple[float, int, tuple[int, ...]]] = []  # log-probability, parent, ids
        ranked = sorted(zip(values, places, strict=True), key=lambda pair: (-pair[0], pair[1]))
        for rank, (value, place) in enumerate(ranked):
            if value == -torch.inf or len(rows) == self.width:
                break
            parent, token = divmod(place, vocab)
            ids = (*self.open[parent], token)
            reason = why(token, len(ids), self.stop, self.new, self.room)
            if reason is None:
                rows.append((value, parent, ids))
            elif rank < self.width:
                self._finish(Beam(ids, value, value / len(ids) ** self.alpha, reason))
        missing = self.width - len(rows)
        self.open = [ids for *_, ids in rows] + [()] * missing
        self.sums = [value for value, *_ in rows] + [-torch.inf] * missing
        self.parents = [parent for _, parent, _ in rows] + [0] * missing
        self.tokens = [ids[-1] for *_, ids in rows] + [0] * missing
        self.done = not rows or self._settled(rows[0][0])

    def _finish(self, beam: Beam) -> None:
        self.finished = sorted([*self.finished, beam], key=lambda beam: -beam.score)[: self.best]

    def _settled(self, value: float) -> bool:
        """True where no open row, the best of which has log-probability `value`, can come to a better score."""
        return len(self.finished) == self.best and value / self.room**self.alpha <= self.finished[-1].score
