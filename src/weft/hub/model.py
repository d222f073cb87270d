"""What a user holds: a family's bare module with its tokenizer and the public methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from weft.batch import Tokenizer
from weft.data import ChatTemplate, Message, encode_many
from weft.data.signals import Reads
from weft.generate import GREEDY, Beams, Sampling
from weft.generate.cached import evaluating, writer
from weft.hub.changed import changed, resized
from weft.hub.frames import framed
from weft.hub.inputs import check_ids, check_rows, nothing, ragged
from weft.hub.published import Origin
from weft.hub.rows import Signals, rows_of
from weft.hub.sentences import BATCH, Pooling, vectors
from weft.hub.stops import Stops
from weft.hub.writing import Prompt, Writing, Written
from weft.models import Blueprint
from weft.nn import Decoder, Encoder, EncoderDecoder


@dataclass(frozen=True, eq=False)
class Model:
    """A bare module, its description and its tokenizer (None where it has none).

    notices: what loading had to say, for people (which checkpoint was taken, say).
    origin:  where it came from, for what saving keeps.
    pooling: how texts become vectors, where the folder declares it.
    stops:   what ends a text beside the tokenizer's end, and what a decoder starts with where that is another.
    chat_template: how a conversation becomes one text, where the folder says it.
    reads: of a model that reads signals, what makes rows of them, and the names of the classes it tells apart.
    """

    module: nn.Module
    blueprint: Blueprint
    tokenizer: Tokenizer | None = None
    notices: tuple[str, ...] = ()
    origin: Origin = field(default_factory=Origin)
    pooling: Pooling | None = None
    stops: Stops = field(default_factory=Stops)
    chat_template: ChatTemplate | None = None
    reads: Reads | None = None

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
            model.logits(model.rows(["shoe.png"]))              # models of pictures: of classes, [B, C]

        tokens:  int64 [B, T], or vectors fp32 [B, T, C] of a model that reads those (`rows`), right-padded to
                 `lengths` [B]. Of an encoder–decoder the source [B, S], right-padded to
                 `source_lengths` [B], and `target` the decoder's input ids [B, T], start token included.
        types:   token types int64 [B, T], of an encoder that has them; None: all 0.
        head:    of an encoder that has several, one by name; its scores may be a row's, [B, C]. None: the one that
                 answers by default.
        ValueError for what this model does not take. Without a source the second argument may be the lengths.
        """
        if target is not None and target.ndim == 1 and lengths is None and not self.translates:
            target, lengths = None, target
        check_rows(self.module, self.config.vocab, tokens)
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
        """Hidden states [B, T, D], after the last norm, in evaluation mode. tokens int64 [B, T] or vectors [B, T, C],
        right-padded to `lengths` [B]; of an encoder–decoder the source. types: as in `logits`. Gradients are kept where
        enabled."""
        check_rows(self.module, self.config.vocab, tokens)
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

    def rows(self, signals: Signals) -> Tensor:
        """What a model of signals reads of some, by their files or as its processor takes them (pictures uint8 [N,
        height, width, channels]): vectors fp32 [N, T, C], or ids int64 [N, T], on the model's device.

            model.encode(model.rows(["shoe.png", "shirt.png"]))

        ValueError for a model without a processor, for what is no such signal, and for rows of unequal lengths.
        """
        return rows_of(self.reads, signals).to(next(self.module.parameters()).device)

    def change(self, path: str, text: str, *, seed: int = 0) -> Model:
        """The same model with one setting changed, as `weft train --set model.…` changes it, and the weights it had.

            model.change("position", "rope")

        What the new part brings is freshly initialised, as a function of `seed`; what the old one had is left out;
        `notices` names both. SettingError or UnknownName for what there is not.
        """
        return changed(self, path, text, seed)

    def resized(self, image: int) -> Model:
        """The same model for images of another size, in pixels of a side: where places have a table, what it holds of
        patches is stretched to their new number (bicubic), and what it holds of a class token is kept.

            model.resized(384)

        `notices` names the tables. ValueError for a size that does not fit the patches; SettingError for a model that
        reads no images.
        """
        return resized(self, image)

    def embed(
        self,
        texts: Sequence[str],
        *,
        pooling: Pooling | None = None,
        batch: int = BATCH,
        advance: Callable[[int], None] = lambda more: None,
    ) -> Tensor:
        """Sentence vectors, fp32 [N, D], pooled and normalised as the folder declares it, or as `pooling` says.

            model.embed(["a can of fish", "the bag was light"])

        A text longer than the pooling's `longest` is cut there. batch: tokens in a pass at the most. advance: hears
        how many texts more are done. ValueError where neither declares a pooling, and for a text in place of a list.
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
        rows = [framed(self.module, tokenizer, row.tolist(), pooling, self.config.context) for row in ids]

        def encode(tokens: Tensor, types: Tensor | None) -> Tensor:
            return self._states(tokens, None, types)

        with torch.no_grad(), evaluating(list(self.module.modules())):
            return vectors(encode, rows, pooling, batch, device, advance)

    def generate(
        self, prompt: Prompt, sampling: Sampling | None = None, *, tokens: int = 200, beams: int | Beams = 1
    ) -> Written:
        """What follows a prompt (or, for an encoder–decoder, translates it): at most `tokens` tokens.

            model.generate("Once", weft.Sampling(temperature=0.7), tokens=50).text
            model.generate("Once", tokens=50, beams=weft.Beams(5, length_penalty=1.0, early_stopping="likely")).text

        prompt:   a text; or ids, which are taken as they are.
        sampling: how tokens are drawn, the seed included; `Sampling(temperature=0)` takes the likeliest each time. None
                  is the usual one, of temperature 0.8.
        beams:    above 1, or a `Beams`: a search for the likeliest row instead; nothing is drawn.

        ValueError for a prompt that does not fit into the context, for numbers that mean nothing, and for a sampling
        that would have to be drawn from while beams search.
        """
        return self.generate_all([prompt], sampling, tokens=tokens, beams=beams)[0]

    def generate_all(
        self, prompts: Sequence[Prompt], sampling: Sampling | None = None, *, tokens: int = 200, beams: int | Beams = 1
    ) -> list[Written]:
        """`generate` for several prompts in one batch; each gets what it would get alone with its own seed."""
        return self._writing().all(prompts, sampling, tokens=tokens, beams=beams)

    def generate_until(
        self,
        prompts: Sequence[Prompt],
        ends: Sequence[str],
        sampling: Sampling = GREEDY,
        *,
        tokens: int = 200,
        batch: int = 32,
        advance: Callable[[int], None] = lambda more: None,
    ) -> list[str]:
        """What follows each prompt, up to the first of some texts, to the model's own end, or for `tokens` tokens.

            model.generate_until(["Once upon a time"], ["."])

        batch: prompts at once, those of about one length together; changes nothing but time and memory. advance: hears
        how many more are done. ValueError as from `generate`.
        """
        return self._writing().until_all(prompts, ends, sampling, tokens=tokens, batch=batch, advance=advance)

    @property
    def begins(self) -> list[int]:
        """The ids that every target of an encoder–decoder begins with."""
        return list(self._writing().stopping[1])

    def stream(self, prompt: Prompt, sampling: Sampling | None = None, *, tokens: int = 200) -> Iterator[str]:
        """The same text as `generate`, piece by piece, characters of several bytes intact.

        Arguments are checked at the call, not at the first piece.
        """
        return self._writing().stream(prompt, sampling, tokens=tokens)

    def chat(
        self,
        messages: Sequence[Message],
        sampling: Sampling | None = None,
        *,
        tokens: int = 200,
        beams: int | Beams = 1,
        tools: Sequence[Message] | None = None,
    ) -> Written:
        """The answer to a conversation, as the folder's chat template lays it out.

            model.chat([{"role": "user", "content": "Who are you?"}]).text

        Messages and tools as in `ChatTemplate.render`, the rest as in `generate`. ValueError where the folder has no
        chat template, and for what the template refuses.
        """
        return self.generate(self.chat_ids(messages, tools=tools), sampling, tokens=tokens, beams=beams)

    def chat_ids(
        self,
        messages: Sequence[Message],
        *,
        reply: bool = True,
        tools: Sequence[Message] | None = None,
        documents: Sequence[Message] | None = None,
        variables: Message | None = None,
    ) -> list[int]:
        """The ids of a conversation, to be given to `generate` or `stream`; see `ChatTemplate.render`. What begins it
        is the template's word: nothing is put around it, and no message can bring a special id in."""
        if self.chat_template is None:
            raise ValueError(
                "this model's folder has no chat template (chat_template.jinja): give generate a prompt as the model "
                "was trained on it, or save the template there"
            )
        return self.chat_template.ids(
            self.need_tokenizer(), messages, reply=reply, tools=tools, documents=documents, variables=variables
        )

    def _writing(self) -> Writing:
        return Writing(writer(self.module), self.need_tokenizer(), self.stops, self.config)
