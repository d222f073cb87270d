"""The decode engine: prompts in, one token a row and step out, from a static cache.

A row's tokens do not depend on its companions: prompts are padded outside the cache, every row has its own generator,
and it ends by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from weft.generate.cached import Cached, Prompt, check_ids
from weft.generate.sampling import Sampling, choose, row_generators
from weft.nn import Layout

Reason = Literal["end", "length", "context"]
"""Why a row ended: it wrote a stop id; it has as many new tokens as were asked for; the context is full."""


@dataclass(frozen=True)
class Step:
    """What one step added, per prompt.

    tokens:   the new id; None for a row that had ended before.
    logprobs: its log-probability in nats under the model itself (temperature 1, nothing filtered), fp32; None likewise.
    reasons:  why the row has ended, from the step of its last token on; None while it goes on.
    """

    tokens: tuple[int | None, ...]
    logprobs: tuple[float | None, ...]
    reasons: tuple[Reason | None, ...]


@dataclass(frozen=True)
class Generated:
    """A finished row. ids: the new tokens, a stop id at the end included; logprobs: of each, see `Step`."""

    ids: tuple[int, ...]
    reason: Reason
    logprobs: tuple[float, ...]

    @property
    def logprob(self) -> float:
        """Log-probability of the whole row, in nats."""
        return sum(self.logprobs)


def decode(
    module: nn.Module,
    prompts: Sequence[Prompt],
    *,
    new: int,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    stop: Collection[int] = (),
    start: int | Sequence[int] | None = None,
    context: int | None = None,
    chunk: int | None = None,
    source: Tensor | None = None,
    source_here: Layout | None = None,
) -> Iterator[Step]:
    """Up to `new` tokens for every prompt, step by step. Arguments are checked at the call, not at the first step.

    prompts: ids of each row; an encoder-decoder reads them as sources, which may be vectors too, floating point
    [places, channels] (a sound's frames). start: what an empty prompt, and every target of an encoder-decoder, begins
    with: an id (the tokenizer's end), or several. stop: ids that end a row; they are given out, too. context: the
    longest row, prompt included; a row that is as long ends with the reason "context". Default: what the module can
    place. chunk: tokens of the prompts that are taken in at once. source: what a decoder is given beside its prompts
    (images as vectors [B, S, C]), see `Decoder.insert`; source_here: where that sits.

    The module is put into evaluation mode for the length of each step only. ValueError for a module that cannot go on
    with a row (it sees ahead, say), prompts that do not fit, ids that are none, and numbers that mean nothing.
    """
    cached = Cached(
        module, prompts, new=new, start=start, context=context, chunk=chunk, source=source, source_here=source_here
    )
    check_ids("stop", [list(stop)], cached.vocab)
    return _steps(_Decoding(cached, sampling, row_generators(sampling.seed, len(prompts)), frozenset(stop), new))


def generate(
    module: nn.Module,
    prompts: Sequence[Prompt],
    *,
    new: int,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    stop: Collection[int] = (),
    start: int | Sequence[int] | None = None,
    context: int | None = None,
    chunk: int | None = None,
    source: Tensor | None = None,
    source_here: Layout | None = None,
) -> list[Generated]:
    """All of `decode` at once: what was added to each prompt."""
    ids: list[list[int]] = [[] for _ in prompts]
    logprobs: list[list[float]] = [[] for _ in prompts]
    reasons: tuple[Reason | None, ...] = ()
    for step in decode(
        module, prompts, new=new, sampling=sampling, stop=stop, start=start, context=context, chunk=chunk,
        source=source, source_here=source_here,
    ):  # fmt: skip
        reasons = step.reasons
        for row, (token, logprob) in enumerate(zip(step.tokens, step.logprobs, strict=True)):
            if token is not None and logprob is not None:
                ids[row].append(token)
                logprobs[row].append(logprob)
    return [
        Generated(tuple(ids[row]), reason, tuple(logprobs[row]))
        for row, reason in enumerate(reasons)
        if reason is not None
    ]


def _steps(decoding: _Decoding) -> Iterator[Step]:
    # no context manager may stay open across a yield: it would reach into the caller
    while not decoding.done:
        yield decoding.step()


class _Decoding:
    """The rows on their way; those that ended are dropped from the cache when half of it is dead, and are padding until
    then.

    Of each prompt: reasons, why it has ended (None: not yet); counts, how many new tokens it has.
    Of each row of the cache: rows, which prompt it belongs to; last, its newest token, [B].
    """

    def __init__(
        self,
        cached: Cached,
        sampling: Sampling,
        generators: Sequence[torch.Generator],
        stop: frozenset[int],
        new: int,
    ) -> None:
        self.cached, self.sampling, self.generators, self.stop, self.new = cached, sampling, generators, stop, new
        self.reasons: list[Reason | None] = [None if room else "context" for room in cached.room]
        self.counts = [0] * len(cached.room)
        self.rows = list(range(len(cached.room)))
        self.last: Tensor | None = None
        self.done = False

    @torch.inference_mode()
    def step(self) -> Step:
        """Choose what follows every row that goes on."""
        tokens: list[int | None] = [None] * len(self.counts)
        logprobs: list[float | None] = [None] * len(self.counts)
        if not all(self.reasons):
            logits = self._logits()  # [B, V]
            going = [place for place, row in enumerate(self.rows) if self.reasons[row] is None]
            index = torch.tensor(going, device=logits.device)
            scores = logits if len(going) == len(self.rows) else logits[index]  # [live, V]
            chosen = choose(scores, self.sampling, [self.generators[self.rows[place]] for place in going])  # [live]
            self.last = torch.zeros_like(logits[:, 0], dtype=torch.int64).index_copy(0, index, chosen)  # [B]
            gained = token_logprobs(scores, chosen).tolist()
            for place, token, logprob in zip(going, chosen.tolist(), gained, strict=True):
                row = self.rows[place]
                tokens[row], logprobs[row] = token, logprob
                self.counts[row] += 1
                self.reasons[row] = why(token, self.counts[row], self.stop, self.new, self.cached.room[row])
        self.done = all(self.reasons)
        return Step(tuple(tokens), tuple(logprobs), tuple(self.reasons))

    def _logits(self) -> Tensor:
        """Scores of what follows every row of the cache, [B, V]."""
        if self.last is None:
            return self.cached.prefill()
        alive = [self.reasons[row] is None for row in self.rows]
        if 2 * sum(alive) <= len(alive):
            going = [place for place, lives in enumerate(alive) if lives]
            self.cached.keep(going)
            self.last = self.last[torch.tensor(going, device=self.last.device)]
            self.rows, alive = [self.rows[place] for place in going], [True] * len(going)
        return self.cached.step(self.last, alive)


def token_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability of one token a row, in fp32 nats. logits [B, V], tokens [B] -> [B]."""
    return logits.float().log_softmax(dim=-1).gather(-1, tokens[:, None]).squeeze(-1)


def why(token: int, count: int, stop: frozenset[int], new: int, room: int) -> Reason | None:
    """Why a row with `count` new tokens, the last of them `token`, ends here; None: it goes on."""
    if token in stop:
        return "end"
    if count == new:
        return "length"
    return "context" if count == room else None
