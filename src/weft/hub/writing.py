"""What a model writes after a prompt: the prompt to ids, what follows them, and that to text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from weft.batch import Tokenizer
from weft.data import as_prompt, as_source
from weft.generate import Beams, Reason, Sampling, TextStream, beam_search, decode, generate, row_seeds
from weft.hub.inputs import at_least_one, written_vocab
from weft.hub.stops import Stops
from weft.nn import EncoderDecoder

USUAL = Sampling(temperature=0.8)  # livelier than the likeliest token, tidier than the model's own distribution
Prompt = str | Sequence[int]
"""A text, or its ids with all that belongs before and after them (a chat's, say)."""


@dataclass(frozen=True)
class Written:
    """What a model added to one prompt. ids: the end id included where it ended itself; logprob: nats of all of it;
    score: what beams ranked it by, see `Beams`, None where nothing was searched for."""

    text: str
    ids: tuple[int, ...]
    reason: Reason
    logprob: float
    score: float | None = None


@dataclass(frozen=True, eq=False)
class Writing:
    """A module that writes, with its tokenizer, what ends a text, and its family's settings."""

    module: nn.Module
    tokenizer: Tokenizer
    stops: Stops
    config: Any

    def all(
        self, prompts: Sequence[Prompt], sampling: Sampling | None, *, tokens: int, beams: int | Beams
    ) -> list[Written]:
        """See `Model.generate_all`."""
        at_least_one("tokens", tokens)
        search = self._search(beams, sampling)
        ids, (stop, start) = [self.ids(prompt) for prompt in prompts], self.stopping
        context = self.config.context
        if search is None:
            drawn = sampling or USUAL
            rows = generate(self.module, ids, new=tokens, sampling=drawn, stop=stop, start=start, context=context)
            made = [(row, None) for row in rows]
        else:
            found = beam_search(
                self.module,
                ids,
                new=tokens,
                width=search.width,
                alpha=search.length_penalty,
                early_stopping=search.early_stopping,
                stop=stop,
                start=start,
                context=context,
            )
            made = [(best, best.score) for best, *_ in found]
        return [
            Written("".join(self._pieces(row.ids, prompt)), row.ids, row.reason, row.logprob, score)
            for prompt, (row, score) in zip(ids, made, strict=True)
        ]

    def stream(self, prompt: Prompt, sampling: Sampling | None, *, tokens: int) -> Iterator[str]:
        """See `Model.stream`."""
        at_least_one("tokens", tokens)
        ids, (stop, start) = self.ids(prompt), self.stopping
        drawn, context = sampling or USUAL, self.config.context
        steps = decode(self.module, [ids], new=tokens, sampling=drawn, stop=stop, start=start, context=context)
        return self._pieces((step.tokens[0] for step in steps), ids)

    def until(
        self, prompts: Sequence[Sequence[int]], ends: Sequence[str], sampling: Sampling, *, tokens: int
    ) -> list[str]:
        """See `Model.generate_until`."""
        (stop, start), context = self.stopping, self.config.context
        before = [() if isinstance(self.module, EncoderDecoder) else prompt for prompt in prompts]
        texts = [Ending(self._stream(ids), ends, self.tokenizer.vocab) for ids in before]
        steps = decode(self.module, prompts, new=tokens, sampling=sampling, stop=stop, start=start, context=context)
        for step in steps:
            for text, token in zip(texts, step.tokens, strict=True):
                text.push(token)
            if all(text.ended or reason for text, reason in zip(texts, step.reasons, strict=True)):
                break
        return [text.finish() for text in texts]

    def until_all(
        self,
        prompts: Sequence[Prompt],
        ends: Sequence[str],
        sampling: Sampling,
        *,
        tokens: int,
        batch: int,
        advance: Callable[[int], None],
    ) -> list[str]:
        """See `Model.generate_until`."""
        rows = [self.ids(prompt) for prompt in prompts]
        seeds = sampling.seed if isinstance(sampling.seed, tuple) else row_seeds(sampling.seed, len(rows))
        if len(seeds) != len(rows):
            raise ValueError(f"{len(seeds)} seeds for {len(rows)} prompts: give one number for all, or one for each")
        order, found = sorted(range(len(rows)), key=lambda row: -len(rows[row])), [""] * len(rows)
        for at in range(0, len(order), batch):
            group = order[at : at + batch]
            drawn = replace(sampling, seed=tuple(seeds[row] for row in group))
            texts = self.until([rows[row] for row in group], ends, drawn, tokens=tokens)
            for row, text in zip(group, texts, strict=True):
                found[row] = text
            advance(len(group))
        return found

    def ids(self, prompt: Prompt) -> list[int]:
        """The ids a prompt becomes, as its tokenizer declares it; weft's own say nothing: there a decoder continues END
        prompt, and an encoder reads prompt END, as in training. ValueError for a source that is longer than the
        context: many schemes could go on, but the model never saw one."""
        if not isinstance(self.module, EncoderDecoder):
            return as_prompt(self.tokenizer, self.tokenizer.encode(prompt)) if isinstance(prompt, str) else list(prompt)
        ids = as_source(self.tokenizer, self.tokenizer.encode(prompt)) if isinstance(prompt, str) else list(prompt)
        if len(ids) > self.config.context:
            raise ValueError(
                f"the source has {len(ids)} tokens, the context {self.config.context}: shorten it, or use a model "
                "with a longer context"
            )
        return ids

    def _search(self, beams: int | Beams, sampling: Sampling | None) -> Beams | None:
        """How rows are searched for; None where they are drawn. ValueError where both are asked for."""
        width = beams if isinstance(beams, int) else beams.width
        at_least_one("beams", width)
        vocab = written_vocab(self.module, self.config)
        if width > vocab:
            raise ValueError(f"beams = {width}, but there are only {vocab} tokens to choose from: ask for less")
        if beams == 1:
            return None
        if sampling is not None and not sampling.greedy:
            raise ValueError(
                f"beams = {width} search for the likeliest row and draw nothing, so {sampling} would not be heard: "
                "leave out the beams, or temperature, top_k, top_p and seed"
            )
        return Beams(beams) if isinstance(beams, int) else beams

    @property
    def stopping(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The ids that end a text, and those that a decoder with a memory starts with."""
        end = self.tokenizer.end
        return self.stops.ends or (end,), self.stops.begins(end)

    def _pieces(self, tokens: Iterable[int | None], prompt: Sequence[int]) -> Iterator[str]:
        """The text of a model's ids: a decoder's goes on from its prompt, a translation begins. Ids that the tokenizer
        lacks (spare rows of the embedding) have none."""
        vocab, text = self.tokenizer.vocab, self._stream(() if isinstance(self.module, EncoderDecoder) else prompt)
        for token in tokens:
            if token is not None and token < vocab and (piece := text.push(token)):
                yield piece
        if rest := text.finish():
            yield rest

    def _stream(self, before: Sequence[int]) -> TextStream:
        return TextStream(self.tokenizer, [token for token in before if token < self.tokenizer.vocab])


class Ending:
    """A text as it comes, which ends before the first of some texts."""

    def __init__(self, stream: TextStream, ends: Sequence[str], vocab: int) -> None:
        self.stream, self.ends, self.vocab, self.text, self.ended = stream, ends, vocab, "", False

    def push(self, token: int | None) -> None:
        """One more token, or none. An id that the tokenizer lacks has no text."""
        if not self.ended and token is not None and token < self.vocab:
            self._add(self.stream.push(token))

    def finish(self) -> str:
        """The text, without the one that ended it."""
        if not self.ended:
            self._add(self.stream.finish())
        return self.text

    def _add(self, piece: str) -> None:
        self.text += piece
        found = [place for place in map(self.text.find, self.ends) if place >= 0]
        if found:
            self.text, self.ended = self.text[: min(found)], True
