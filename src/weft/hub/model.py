"""What a user holds: a family's bare module with its tokenizer and the public methods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from weft.batch import Tokenizer
from weft.data import as_prompt, as_source, encode_many, template_of
from weft.generate import Reason, Sampling, TextStream, beam_search, decode, generate
from weft.generate.cached import evaluating
from weft.hub.inputs import at_least_one, check_ids, nothing, ragged, written_vocab
from weft.hub.published import Origin
from weft.hub.sentences import BATCH, Pooling, vectors
from weft.hub.stops import Stops
from weft.hub.weights import some
from weft.models import Blueprint
from weft.nn import Decoder, Encoder, EncoderDecoder

USUAL = Sampling(temperature=0.8)  # livelier than the likeliest token, tidier than the model's own distribution


@dataclass(frozen=True)
class Written:
    """What a model added to one prompt. ids: the end id included where it ended itself; logprob: nats of all of it."""

    text: str
    ids: tuple[int, ...]
    reason: Reason
    logprob: float


@dataclass(frozen=True, eq=False)
class Model:
    """A bare module, its description and its tokenizer (None where it has none).

    notices: what loading had to say, for people (which checkpoint was taken, say).
    origin:  where it came from, for what saving keeps.
    pooling: how texts become vectors, where the folder declares it.
    stops:   what ends a text beside the tokenizer's end, and what a decoder starts with where that is another.
    """

    module: nn.Module
    blueprint: Blueprint
    tokenizer: Tokenizer | None = None
    notices: tuple[str, ...] = ()
    origin: Origin = field(default_factory=Origin)
    pooling: Pooling | None = None
    stops: Stops = field(default_factory=Stops)

    @property
    def config(self) -> Any:
        """The family's settings: width, depth, heads, vocab, context …"""
        return self.blueprint.config

    @property
    def translates(self) -> bool:
        """True for an encoder–decoder: prompts are sources."""
        return isinstance(self.module, EncoderDecoder)

    def need_tokenizer(self) -> Tokenizer:
        """The tokenizer; ValueError where the model has none."""
        if self.tokenizer is None:
            raise ValueError(
                "this model has no tokenizer (no tokenizer.json beside its weights): it reads ids, not text"
            )
        return self.tokenizer

    def logits(
        self,
        tokens: Tensor,
        target: Tensor | None = None,
        source_lengths: Tensor | None = None,
        *,
        lengths: Tensor | None = None,
        types: Tensor | None = None,
        head: str | None = None,
    ) -> Tensor:
        """Scores, [B, T, V], in evaluation mode whatever the module's. Gradients are kept where they are enabled.

            model.logits(tokens, lengths=None)                  # decoders, masked language models
            model.logits(source, target, source_lengths=None)   # encoder–decoders
            model.logits(tokens, types=types, head="next_sentence")

        tokens:  int64 [B, T], right-padded to `lengths` [B]. Of an encoder–decoder the source [B, S], right-padded to
                 `source_lengths` [B], and `target` the decoder's input ids [B, T], start token included.
        types:   token types int64 [B, T], of an encoder that has them; None: all 0.
        head:    of an encoder that has several, one by name; its scores may be a row's, [B, C]. None: the one that
                 answers by default.
        ValueError for what this model does not take. Without a source the second argument may be the lengths.
        """
        if target is not None and target.ndim == 1 and lengths is None and not self.translates:
            target, lengths = None, target
        check_ids(self.config.vocab, tokens=tokens)
        with evaluating(list(self.module.modules())):
            if isinstance(self.module, EncoderDecoder):
                check_ids(self.module.stem.vocab, target=target)
                nothing(self.module, self.blueprint.family, types=types, head=head)
                if target is None:
                    raise ValueError("an encoder–decoder takes a source and a target: logits(source, target)")
                hidden, _ = self.module(tokens, target, ragged(tokens, source_lengths), ragged(target, lengths))
                return self.module.logits(hidden)
            nothing(self.module, self.blueprint.family, target=target, source_lengths=source_lengths)
            if isinstance(self.module, Encoder):
                hidden, _ = self.module(tokens, ragged(tokens, lengths), types)
                return self.module.logits(hidden, self.origin.head if head is None else head)
            nothing(self.module, self.blueprint.family, types=types, head=head)
            assert isinstance(self.module, Decoder)
            hidden, _ = self.module(tokens, ragged(tokens, lengths))
            return self.module.logits(hidden)

    def encode(self, tokens: Tensor, lengths: Tensor | None = None, *, types: Tensor | None = None) -> Tensor:
        """Hidden states [B, T, D], after the last norm, in evaluation mode. tokens int64 [B, T], right-padded to
        `lengths` [B]; of an encoder–decoder the source. types: as in `logits`. Gradients are kept where enabled."""
        check_ids(self.config.vocab, tokens=tokens)
        with evaluating(list(self.module.modules())):
            return self._states(tokens, lengths, types)

    def _states(self, tokens: Tensor, lengths: Tensor | None, types: Tensor | None) -> Tensor:
        """See `encode`."""
        here = ragged(tokens, lengths)
        if isinstance(self.module, Encoder):
            return self.module(tokens, here, types)[0]
        nothing(self.module, self.blueprint.family, types=types)
        if isinstance(self.module, EncoderDecoder):
            return self.module.encode(tokens, here).states
        return self.module(tokens, here)[0]

    def change(self, path: str, text: str, *, seed: int = 0) -> Model:
        """The same model with one setting changed, as `weft train --set model.…` changes it, and the weights it had.

            model.change("position", "rope")

        What the new part brings is freshly initialised, as a function of `seed`; what the old one had is left out;
        `notices` names both. SettingError or UnknownName for what there is not.
        """
        blueprint = self.blueprint.change(path, text)
        module, old = blueprint.build(seed=seed), self.module.state_dict()
        new = module.state_dict()
        kept = {name for name, tensor in new.items() if name in old and old[name].shape == tensor.shape}
        example = next(self.module.parameters())
        given = {name: old[name].clone() if name in kept else new[name].to(example) for name in new}
        module.load_state_dict(given, strict=True, assign=True)
        fresh, gone = sorted(new.keys() - kept), sorted(old.keys() - kept)
        notices = [f"new and untrained: {some(fresh)}"] if fresh else []
        notices += [f"left out: {some(gone)}"] if gone else []
        return replace(self, module=module, blueprint=blueprint, notices=tuple(notices))

    def embed(self, texts: Sequence[str], *, pooling: Pooling | None = None, batch: int = BATCH) -> Tensor:
        """Sentence vectors, fp32 [N, D], pooled and normalised as the folder declares it, or as `pooling` says.

            model.embed(["a can of fish", "the bag was light"])

        A text longer than the pooling's `longest` is cut there. batch: tokens in a pass at the most. ValueError where
        neither declares anything, and for a single text in place of a list.
        """
        if isinstance(texts, str):
            raise ValueError("embed takes a list of texts: embed([text])")
        pooling = pooling or self.pooling
        if pooling is None:
            raise ValueError(
                "this model's folder declares no pooling (modules.json): say how states become a vector, "
                'embed(texts, pooling=weft.Pooling(("mean",), normalise=True))'
            )
        if any(not isinstance(text, str) for text in texts):
            raise ValueError("embed takes texts: one of the list is none")
        tokenizer, device = self.need_tokenizer(), next(self.module.parameters()).device
        ids = encode_many(tokenizer, [pooling.prompt + text for text in texts])
        rows = [self._framed(row.tolist(), pooling) for row in ids]
        with torch.no_grad(), evaluating(list(self.module.modules())):
            return vectors(lambda tokens, types: self._states(tokens, None, types), rows, pooling, batch, device)

    def _framed(self, ids: list[int], pooling: Pooling) -> tuple[list[int], list[int]]:
        """A sentence's ids and types with what the tokenizer puts around them, cut at the pooling's longest; the end id
        of an empty one that has nothing around it."""
        template = template_of(self.need_tokenizer())
        around = len(template.one([])[0]) if template else 0
        context = self.config.context
        longest = min(pooling.longest or context, context)
        framed = ids[:longest] or [self.need_tokenizer().end]
        return template.one(ids[: longest - around]) if template and (ids or around) else (framed, [0] * len(framed))

    def generate(self, prompt: str, sampling: Sampling | None = None, *, tokens: int = 200, beams: int = 1) -> Written:
        """What follows a prompt (or, for an encoder–decoder, translates it): at most `tokens` tokens.

            model.generate("Once", weft.Sampling(temperature=0.7), tokens=50).text

        sampling: how tokens are drawn, the seed included; `Sampling(temperature=0)` takes the likeliest each time. None
                  is the usual one, of temperature 0.8.
        beams:    above 1, a search for the likeliest row instead; nothing is drawn.

        ValueError for a prompt that does not fit into the context, for numbers that mean nothing, and for a sampling
        that would have to be drawn from while beams search.
        """
        return self.generate_all([prompt], sampling, tokens=tokens, beams=beams)[0]

    def generate_all(
        self, prompts: Sequence[str], sampling: Sampling | None = None, *, tokens: int = 200, beams: int = 1
    ) -> list[Written]:
        """`generate` for several prompts in one batch; each gets what it would get alone with its own seed."""
        tokenizer, context = self.need_tokenizer(), self.config.context
        at_least_one("tokens", tokens)
        at_least_one("beams", beams)
        vocab = written_vocab(self.module, self.config)
        if beams > vocab:
            raise ValueError(f"beams = {beams}, but there are only {vocab} tokens to choose from: ask for less")
        if beams > 1 and sampling is not None and not sampling.greedy:
            raise ValueError(
                f"beams = {beams} search for the likeliest row and draw nothing, so {sampling} would not be heard: "
                "leave out the beams, or temperature, top_k, top_p and seed"
            )
        ids, (stop, start) = [self._encode(prompt) for prompt in prompts], self._stops(tokenizer)
        if beams > 1:
            found = beam_search(self.module, ids, new=tokens, width=beams, stop=stop, start=start, context=context)
            made = [best for best, *_ in found]
        else:
            drawn = sampling or USUAL
            made = generate(self.module, ids, new=tokens, sampling=drawn, stop=stop, start=start, context=context)
        texts = [self._text(row.ids, prompt) for prompt, row in zip(ids, made, strict=True)]
        return [Written(text, row.ids, row.reason, row.logprob) for text, row in zip(texts, made, strict=True)]

    def stream(self, prompt: str, sampling: Sampling | None = None, *, tokens: int = 200) -> Iterator[str]:
        """The same text as `generate`, piece by piece, characters of several bytes intact.

        Arguments are checked at the call, not at the first piece.
        """
        tokenizer, context = self.need_tokenizer(), self.config.context
        at_least_one("tokens", tokens)
        ids, (stop, start) = [self._encode(prompt)], self._stops(tokenizer)
        drawn = sampling or USUAL
        steps = decode(self.module, ids, new=tokens, sampling=drawn, stop=stop, start=start, context=context)
        return _pieces((step.tokens[0] for step in steps), self._text_after(ids[0]), tokenizer.vocab)

    def _stops(self, tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The ids that end a text, and those that a decoder with a memory starts with."""
        start = tokenizer.end if self.stops.start is None else self.stops.start
        forced = () if self.stops.forced is None else (self.stops.forced,)
        return self.stops.ends or (tokenizer.end,), (start, *forced)

    def _text(self, ids: Sequence[int], prompt: Sequence[int]) -> str:
        return "".join(_pieces(ids, self._text_after(prompt), self.need_tokenizer().vocab))

    def _text_after(self, prompt: Sequence[int]) -> TextStream:
        """A decoder's text goes on from its prompt, a translation begins."""
        return TextStream(self.need_tokenizer(), () if self.translates else prompt)

    def _encode(self, prompt: str) -> list[int]:
        """The ids a prompt becomes, as its tokenizer declares it; weft's own say nothing: there a decoder continues END
        prompt, and an encoder reads prompt END, as in training."""
        tokenizer = self.need_tokenizer()
        ids = tokenizer.encode(prompt)
        if not self.translates:
            return as_prompt(tokenizer, ids)
        framed = as_source(tokenizer, ids)
        if len(framed) > self.config.context:  # many schemes could go on, but the model never saw such a source
            raise ValueError(
                f"the source has {len(framed)} tokens, the context {self.config.context}: shorten it, or use a model "
                "with a longer context"
            )
        return framed


def _pieces(tokens: Iterable[int | None], text: TextStream, vocab: int) -> Iterator[str]:
    """The text of a model's ids; those that the tokenizer's `vocab` lacks (spare rows of the embedding) have none."""
    for token in tokens:
        if token is not None and token < vocab and (piece := text.push(token)):
            yield piece
    if rest := text.finish():
        yield rest
