"""How likely a module finds what may follow a prompt: each continuation's -log p, given the prompt.

Shapes: B prompts of a pass, n continuations of each, T tokens of a prompt, C of a continuation, V vocab.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from weft.generate.cached import evaluating, padded
from weft.nn import Cache, Decoder, EncoderDecoder, Layout

TOKENS = 8192  # of a pass, with all that is held of its prompts
_SCORES = 1 << 24  # scores held at once


class Ask(NamedTuple):
    """A prompt's ids and those of each of its continuations; none empty. Of an encoder–decoder: a source, and targets
    without what a target begins with."""

    prompt: Sequence[int]
    continuations: Sequence[Sequence[int]]


class Continued(NamedTuple):
    """nats: Σ -log p(token | all before it) over a continuation's tokens. tokens: how many. greedy: whether each of
    them is the likeliest where it stands (of equals, the lowest id is)."""

    nats: float
    tokens: int
    greedy: bool


def continued(
    module: nn.Module,
    asks: Sequence[Ask],
    *,
    context: int,
    start: Sequence[int] = (),
    tokens: int = TOKENS,
    advance: Callable[[int], None] = lambda more: None,
) -> list[list[Continued]]:
    """Every continuation of every prompt, in their order, in evaluation mode.

    start: what the targets of an encoder–decoder begin with. tokens: of a pass at the most; changes nothing but time
    and memory. advance: hears how many more prompts are done.

    What prompts of a pass begin with in common is computed once, and equal prompts once for all their continuations:
    both are kept in a cache. Of a row, `context` tokens are read at the most, its last token not being one of them.

    ValueError for a module that writes nothing or sees ahead, and for a row that is longer.
    """
    if not isinstance(module, Decoder | EncoderDecoder):
        raise ValueError(
            f"{type(module).__name__} reads whole rows: how likely a continuation is, only a Decoder or an "
            "EncoderDecoder says"
        )
    module.writing.check_causal()
    paired = isinstance(module, EncoderDecoder)
    for number, ask in enumerate(asks):
        before = len(start) if paired else len(ask.prompt)
        most = before + max(map(len, ask.continuations)) - 1
        if max(most, len(ask.prompt)) > context:
            raise ValueError(
                f"prompt {number} has {len(ask.prompt)} tokens and, with its longest continuation, {most} are read: "
                f"the context is {context}"
            )
    found: dict[tuple[int, int], Continued] = {}
    merged, owners = _together(asks, tokens)
    left = [len(ask.continuations) for ask in asks]
    for group in _groups(merged, tokens):
        scores = _Pass(module, [merged[number] for number in group], list(start), context).scores()
        told = [owner for number in group for owner in owners[number]]
        found |= zip(told, (one for each in scores for one in each), strict=True)
        for ask, _ in told:
            left[ask] -= 1
        advance(sum(not left[ask] for ask in {ask for ask, _ in told}))
    return [[found[number, place] for place in range(len(ask.continuations))] for number, ask in enumerate(asks)]


def _together(asks: Sequence[Ask], tokens: int) -> tuple[list[Ask], list[list[tuple[int, int]]]]:
    """Asks of one prompt as one, as far as `tokens` have room for its continuations; and of each continuation, which
    ask it was in, and where."""
    alike: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for number, ask in enumerate(asks):
        alike.setdefault(tuple(ask.prompt), []).extend((number, place) for place in range(len(ask.continuations)))
    merged, owners = list[Ask](), list[list[tuple[int, int]]]()
    for prompt, places in alike.items():
        longest = max(len(asks[number].continuations[place]) for number, place in places)
        count = max(1, tokens // (len(prompt) + longest))
        for at in range(0, len(places), count):
            owners.append(places[at : at + count])
            merged.append(Ask(prompt, [asks[number].continuations[place] for number, place in owners[-1]]))
    return merged, owners


def _groups(asks: Sequence[Ask], tokens: int) -> Iterator[list[int]]:
    """Numbers of prompts, the longest first, as many at a time as `tokens` have room for."""

    def size(number: int) -> tuple[int, int]:
        ask = asks[number]
        return len(ask.prompt) + max(map(len, ask.continuations)), len(ask.continuations)

    order = sorted(range(len(asks)), key=lambda number: -size(number)[0])
    group, most = list[int](), (1, 1)
    for number in order:
        wider = max(most[0], size(number)[0]), max(most[1], size(number)[1])
        if group and (len(group) + 1) * wider[0] * wider[1] > tokens:
            yield group
            group, wider = [], size(number)
        group.append(number)
        most = wider
    if group:
        yield group


class _Pass:
    """Some prompts at once."""

    def __init__(self, module: Decoder | EncoderDecoder, asks: Sequence[Ask], start: list[int], context: int) -> None:
        self.module, self.asks, self.context = module, asks, context
        self.device = next(module.parameters()).device
        self.rows = [start for _ in asks] if isinstance(module, EncoderDecoder) else [list(ask.prompt) for ask in asks]
        self.longest = max(len(one) for ask in asks for one in ask.continuations)

    @torch.inference_mode()
    def scores(self) -> list[list[Continued]]:
        """Of each prompt, of each continuation."""
        with evaluating(list(self.module.modules())):
            cache = self._cache()
            first = self._prompts(cache)  # [B, D]
            n = max(len(ask.continuations) for ask in self.asks)
            later = self._later(cache, n) if self.longest > 1 else first[:0]  # [all further tokens, D]
            ends = [one for ask in self.asks for one in ask.continuations]
            begins = torch.tensor([row for row, ask in enumerate(self.asks) for _ in ask.continuations])
            states = torch.cat([first[begins.to(self.device)], later])  # [all tokens, D]
            wanted = [one[0] for one in ends] + [token for one in ends for token in one[1:]]
            gained, best = self._gained(states, wanted)
        return self._by_prompt(ends, gained, best)

    def _cache(self) -> Cache:
        """Empty; with the memory of an encoder–decoder's sources. A row's last token is not read."""
        width = max(map(len, self.rows))
        rows = len(self.rows) if isinstance(self.module, EncoderDecoder) else 1
        chunk = max(width, self.longest)
        cache = self.module.cache(rows, width + self.longest - 1, length=self.context, chunk=chunk)
        if isinstance(self.module, EncoderDecoder):
            sources, here = padded([list(ask.prompt) for ask in self.asks], "right", self.device)
            self.module.fill(cache, self.module.encode(sources, here))
        return cache

    def _prompts(self, cache: Cache) -> Tensor:
        """Take the prompts in, what they share once: the state after each, [B, D]."""
        rows = self.rows
        if not isinstance(self.module, EncoderDecoder):
            shared = min(common(rows), min(map(len, rows)) - 1)
            if shared:
                self._forward(torch.tensor([rows[0][:shared]], device=self.device), Layout(), cache)
                rows = [row[shared:] for row in rows]
            cache.fork(len(rows))
        return self._forward(*padded(rows, "left", self.device), cache)[:, -1]  # [B, T, D] -> [B, D]

    def _later(self, cache: Cache, n: int) -> Tensor:
        """The states before every further token of the continuations, side by side: [all further tokens, D]."""
        cache.fork(n)
        empty: list[list[int]] = [[]]
        rows = [
            row for ask in self.asks for row in [*map(list, ask.continuations), *empty * (n - len(ask.continuations))]
        ]
        tokens, here = padded([row[:-1] for row in rows], "right", self.device)  # [B·n, C]
        x = self._forward(tokens, here, cache)  # [B·n, C, D]
        lengths = torch.tensor([max(len(row) - 1, 0) for row in rows], device=self.device)
        return x[torch.arange(x.shape[1], device=self.device) < lengths[:, None]]  # [all further tokens, D]

    def _forward(self, tokens: Tensor, here: Layout, cache: Cache) -> Tensor:
        """tokens [B, T] -> hidden states [B, T, D]."""
        if isinstance(self.module, EncoderDecoder):
            return self.module.decode(tokens, here, cache=cache)[0]
        return self.module(tokens, here, cache)[0]

    def _gained(self, states: Tensor, wanted: Sequence[int]) -> tuple[list[float], list[bool]]:
        """log p of each wanted token after its state, fp32, and whether it is the likeliest. states [N, D]."""
        gained, best = list[float](), list[bool]()
        tokens = torch.tensor(wanted, device=self.device)  # [N]
        rows = max(1, _SCORES // self.module.stem.vocab)
        for at in range(0, len(wanted), rows):
            scores = self.module.logits(states[None, at : at + rows])[0].float()  # [n, V]
            label = tokens[at : at + rows]  # [n]
            gained += scores.log_softmax(dim=-1).gather(-1, label[:, None])[:, 0].tolist()
            best += (scores.argmax(dim=-1) == label).tolist()
        return gained, best

    def _by_prompt(
        self, ends: Sequence[Sequence[int]], gained: Sequence[float], best: Sequence[bool]
    ) -> list[list[Continued]]:
        """The first tokens of all continuations stand before all further ones."""
        at, made = len(ends), list[Continued]()
        for number, one in enumerate(ends):
            stop = at + len(one) - 1
            nats = -(gained[number] + sum(gained[at:stop]))
            made.append(Continued(nats, len(one), best[number] and all(best[at:stop])))
            at = stop
        parts = iter(made)
        return [[next(parts) for _ in ask.continuations] for ask in self.asks]


def common(rows: Sequence[Sequence[int]]) -> int:
    """How many ids all rows begin with alike."""
    shortest = min(rows, key=len)
    for place, token in enumerate(shortest):
        if any(row[place] != token for row in rows):
            return place
    return len(shortest)
