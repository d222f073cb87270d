"""Beam search: the `width` best rows so far are continued side by side, in one cache, over one memory."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from weft.generate.cached import Cached, Prompt, check_ids
from weft.generate.engine import Reason, why
from weft.generate.sampling import finite_best

EarlyStopping = Literal["never", "likely", "always"]
"""When a prompt's search ends before its open rows do, see `Beams`."""


@dataclass(frozen=True)
class Beams:
    """How the likeliest row is searched for.

    width:          rows that are continued side by side.
    length_penalty: a row's score is its log-probability / length^length_penalty, the length counting new tokens, the
                    stop id among them: 0 ranks by the probability of the whole row, 1 by the mean per token. Wu et al.
                    (2016) divide by ((5 + length) / 6)^length_penalty instead.
    early_stopping: when a prompt's search ends although rows are open,
                    "never": as soon as none of them can come to a better score than those that are kept, at any length
                    they may reach: as if it had never ended early;
                    "likely": as soon as none has a better score, were it finished now, than the worst of the `width`
                    best finished ones; a longer one might still have come to it, as a penalty favours length;
                    "always": as soon as `width` rows are finished.

    The reference library says "never", False and True for these three, and its defaults are False and a length_penalty
    of 1. The same settings give the same rows and scores. ValueError for numbers that mean nothing.
    """

    width: int
    length_penalty: float = 0.6
    early_stopping: EarlyStopping = "never"

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width = {self.width}, but a search continues at least 1 row")
        if not (self.length_penalty >= 0 and math.isfinite(self.length_penalty)):
            raise ValueError(
                f"length_penalty = {self.length_penalty}, but it must be finite and at least 0: 0 ranks by "
                "probability, 1 by its mean per token"
            )
        if self.early_stopping not in get_args(EarlyStopping):
            raise ValueError(
                f"early_stopping = {self.early_stopping!r}, but it is one of {', '.join(get_args(EarlyStopping))}"
            )

    def score(self, logprob: float, length: int) -> float:
        """What rows are ranked by: of `length` new tokens with this log-probability in nats."""
        return logprob / length**self.length_penalty


@dataclass(frozen=True)
class Beam:
    """A row that was found. ids: the new tokens, a stop id at the end included; logprob: of them all, in nats;
    score: logprob / length^length_penalty, what rows are ranked by."""

    ids: tuple[int, ...]
    logprob: float
    score: float
    reason: Reason


def beam_search(
    module: nn.Module,
    prompts: Sequence[Prompt],
    *,
    width: int,
    new: int,
    best: int = 1,
    alpha: float = 0.6,
    early_stopping: EarlyStopping = "never",
    stop: Collection[int] = (),
    start: int | Sequence[int] | None = None,
    context: int | None = None,
    chunk: int | None = None,
) -> list[list[Beam]]:
    """For every prompt the `best` rows found, best first; fewer where there are no more.

    width, early_stopping and alpha, the length penalty: see `Beams`.

    A row is finished when a stop id is among the `width` best continuations of its prompt, or at `new` tokens, or when
    the context is full. Width 1 with alpha 0 is greedy decoding.

    A score does not depend on padding or on the other prompts. Other arguments and errors: see `decode`.
    """
    if width < 1 or not 1 <= best <= width:
        raise ValueError(
            f"width = {width} and best = {best}, but 1 <= best <= width: ask for fewer rows, or search wider"
        )
    if alpha < 0:
        raise ValueError(f"alpha = {alpha}, but it must be at least 0: 0 ranks by probability, 1 by its mean per token")
    beams = Beams(width, alpha, early_stopping)
    cached = Cached(module, prompts, new=new, start=start, context=context, chunk=chunk)
    check_ids("stop", [list(stop)], cached.vocab)
    searches = [_Search(beams, best, frozenset(stop), new, room) for room in cached.room]
    _run(cached, searches, width, len(frozenset(stop)))
    return [search.finished[:best] for search in searches]


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

    def __init__(self, beams: Beams, best: int, stop: frozenset[int], new: int, room: int) -> None:
        self.beams, self.width = beams, beams.width
        self.kept = best if beams.early_stopping == "never" else beams.width  # finished rows that decide about the end
        self.stop, self.new, self.room = stop, new, room
        self.open: list[tuple[int, ...]] = [()] * self.width
        self.sums = [0.0] + [-torch.inf] * (self.width - 1)
        self.parents, self.tokens = list(range(self.width)), [0] * self.width
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
                self._finish(Beam(ids, value, self.beams.score(value, len(ids)), reason))
        missing = self.width - len(rows)
        self.open = [ids for *_, ids in rows] + [()] * missing
        self.sums = [value for value, *_ in rows] + [-torch.inf] * missing
        self.parents = [parent for _, parent, _ in rows] + [0] * missing
        self.tokens = [ids[-1] for *_, ids in rows] + [0] * missing
        self.done = not rows or self._settled(rows[0][0], len(rows[0][2]))

    def _finish(self, beam: Beam) -> None:
        self.finished = sorted([*self.finished, beam], key=lambda beam: -beam.score)[: self.kept]

    def _settled(self, value: float, length: int) -> bool:
        """True where the search ends although rows are open, the best of them with `length` tokens and log-probability
        `value`. That only falls, so that none of them comes to a better score than its own at the length of `room`."""
        if len(self.finished) < self.kept or self.beams.early_stopping == "always":
            return len(self.finished) == self.kept
        longest = self.room if self.beams.early_stopping == "never" else length
        return self.beams.score(value, longest) <= self.finished[-1].score
