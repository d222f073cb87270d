"""What was said, written with times: the rules by which a model of speech writes both (Radford et al. 2023, §4.5, and
its authors' code), and one sound written down by them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from weft.generate.cached import Cached
from weft.generate.sampling import finite_best

_NEVER = -torch.inf


@dataclass(frozen=True)
class TimeRules:
    """Which ids may follow what is written, where times are ids among others.

    - The first is a time, of at most `latest` steps.
    - Times come in pairs, the end of one part and the beginning of the next; only the end of all stands alone: behind
      one time follows another or the end, behind two or at the beginning text.
    - No time is before an earlier one, and behind one that was followed by text it is later.
    - Where all times together are likelier than any one other id, a time follows.

    end: the id that ends all, below which all text is; times: the ids of times; untimed: the id that asks for none.
    latest: None, any.
    """

    end: int
    times: range
    untimed: int
    latest: int | None = 50

    def apply(self, scores: Tensor, written: Sequence[int]) -> Tensor:
        """Scores of what follows, fp32 [V], with -inf for what may not. written: what was written so far."""
        scores, first = scores.clone(), self.times.start
        scores[self.untimed] = _NEVER
        timed = [number >= first for number in written]
        if timed and timed[-1]:
            if len(timed) < 2 or timed[-2]:
                scores[first:] = _NEVER
            else:
                scores[: self.end] = _NEVER
        if any(timed):
            newest = max(place for place, one in enumerate(timed) if one)
            open_end = timed[-1] and not (len(timed) < 2 or timed[-2])
            scores[first : written[newest] + (0 if open_end else 1)] = _NEVER
        if not written:
            scores[:first] = _NEVER
            if self.latest is not None:
                scores[first + self.latest + 1 :] = _NEVER
        logs = scores.float().log_softmax(dim=-1)
        if bool(logs[first:].logsumexp(dim=-1) > logs[:first].max()):
            scores[:first] = _NEVER
        return scores


@dataclass(frozen=True)
class Rules:
    """never: ids that are never written; never_first: nor as the first; times: how times are, None: there are none;
    stop: ids that end all; silence: the id whose probability, behind the first that is given, says that nobody
    speaks."""

    stop: frozenset[int]
    never: Collection[int] = ()
    never_first: Collection[int] = ()
    times: TimeRules | None = None
    silence: int | None = None

    def apply(self, scores: Tensor, written: Sequence[int]) -> Tensor:
        """Scores of what follows, fp32 [V], with -inf for what may not."""
        hidden = [*self.never, *([] if written else self.never_first)]
        if hidden:
            scores = scores.clone()
            scores[torch.tensor(hidden, device=scores.device)] = _NEVER
        return scores if self.times is None else self.times.apply(scores, written)


@dataclass(frozen=True)
class WrittenDown:
    """ids: without the one that ended it; logprob: the mean of all, that one included, in nats under the rules;
    silence: the probability that nobody speaks, 0 where the model does not say it."""

    ids: tuple[int, ...]
    logprob: float
    silence: float


@torch.inference_mode()
def write_down(
    module: nn.Module, sound: Tensor, begins: Sequence[int], rules: Rules, *, new: int, context: int
) -> WrittenDown:
    """Up to `new` ids of a sound, vectors [T, C], behind those that it `begins` with: the likeliest each time of those
    that the rules leave. ValueError for a module that writes of no sounds, and ids that are none."""
    start, *rest = begins
    room = min(new, context - len(begins))
    if room < 1:
        raise ValueError(f"{len(begins)} ids are given, and the context is {context}: there is no room to write")
    cached = Cached(module, [sound], new=len(rest) + room, start=start, context=context)
    scores = cached.prefill()  # [1, V]
    silence = 0.0 if rules.silence is None else float(scores.float().softmax(dim=-1)[0, rules.silence])
    for number in rest:
        scores = _fed(cached, number)
    ids, total, count = list[int](), 0.0, 0
    while True:
        allowed = rules.apply(scores[0].float(), ids)
        finite_best(allowed[None])
        number = int(allowed.argmax())
        total, count = total + float(allowed.log_softmax(dim=-1)[number]), count + 1
        if number in rules.stop:
            break
        ids.append(number)
        if len(ids) == room:
            break
        scores = _fed(cached, number)
    return WrittenDown(tuple(ids), total / count, silence)


@torch.inference_mode()
def likeliest_first(module: nn.Module, sound: Tensor, start: int, among: Sequence[int]) -> int:
    """Which of some ids is the likeliest behind `start`: the language that is spoken, say. sound: vectors [T, C]."""
    scores = Cached(module, [sound], new=1, start=start).prefill()[0]  # [V]
    return among[int(scores[torch.tensor(list(among), device=scores.device)].argmax())]


def _fed(cached: Cached, number: int) -> Tensor:
    """The scores behind one more id, [1, V]."""
    return cached.step(torch.tensor([number], device=cached.device), [True])
