"""What a user holds: a family's bare module with its tokenizer and the public methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from weft.batch import Tokenizer
from weft.generate import Reason, Sampling, Step, TextStream, beam_search, decode, generate
from weft.hub.folder import LoadError, read_blueprint, read_module, read_tokenizer, write_model
from weft.models import Blueprint
from weft.nn import Decoder, EncoderDecoder, Layout
from weft.training import checkpoints


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
    """

    module: nn.Module
    blueprint: Blueprint
    tokenizer: Tokenizer | None = None
    notices: tuple[str, ...] = ()

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
            raise ValueError("this model has no tokenizer.json beside its weights: it reads ids, not text")
        return self.tokenizer

    @torch.no_grad()
    def logits(
        self,
        tokens: Tensor,
        target: Tensor | None = None,
        *,
        lengths: Tensor | None = None,
        source_lengths: Tensor | None = None,
    ) -> Tensor:
        """Scores of the next token, [B, T, V], in evaluation mode.

        Decoders: tokens int64 [B, T], right-padded to `lengths` [B]. Encoder–decoders: tokens is the source [B, S],
        `target` the decoder's input ids [B, T], start token included.
        """
        if isinstance(self.module, EncoderDecoder):
            if target is None:
                raise ValueError("an encoder–decoder takes a source and a target: logits(source, target)")
            hidden, _ = self.module(tokens, target, _ragged(tokens, source_lengths), _ragged(target, lengths))
            return self.module.logits(hidden)
        if target is not None:
            raise ValueError("a decoder takes one row of tokens: logits(tokens)")
        assert isinstance(self.module, Decoder)
        hidden, _ = self.module(tokens, _ragged(tokens, lengths))
        return self.module.logits(hidden)

    def generate(
        self,
        prompt: str,
        *,
        tokens: int = 200,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        beams: int = 1,
        seed: int = 0,
    ) -> Written:
        """What follows a prompt (or, for an encoder–decoder, translates it): at most `tokens` tokens.

        temperature 0 takes the likeliest token; beams > 1 searches for the likeliest row instead of drawing.
        ValueError for a prompt that does not fit into the context, and for numbers that mean nothing.
        """
        return self.generate_all(
            [prompt], tokens=tokens, temperature=temperature, top_k=top_k, top_p=top_p, beams=beams, seed=seed
        )[0]

    def generate_all(
        self,
        prompts: Sequence[str],
        *,
        tokens: int = 200,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        beams: int = 1,
        seed: int = 0,
    ) -> list[Written]:
        """`generate` for several prompts in one batch; each gets what it would get alone with its own seed."""
        tokenizer = self.need_tokenizer()
        _at_least_one(tokens=tokens, beams=beams)
        if beams > max(1, self.config.vocab):
            raise ValueError(
                f"beams = {beams}, but there are only {self.config.vocab} tokens to choose from: ask for less"
            )
        ids, end = [self._encode(prompt) for prompt in prompts], tokenizer.end
        if beams > 1:
            found = [
                rows[0]
                for rows in beam_search(
                    self.module, ids, new=tokens, width=beams, stop=(end,), start=end, context=self.config.context
                )
            ]
            return [Written(tokenizer.decode(row.ids), tuple(row.ids), row.reason, row.logprob) for row in found]
        sampling = Sampling(temperature, top_k, top_p)
        made = generate(
            self.module,
            ids,
            new=tokens,
            sampling=sampling,
            seed=seed,
            stop=(end,),
            start=end,
            context=self.config.context,
        )
        return [Written(tokenizer.decode(row.ids), row.ids, row.reason, row.logprob) for row in made]

    def stream(
        self,
        prompt: str,
        *,
        tokens: int = 200,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Iterator[str]:
        """The same text as `generate`, piece by piece, characters of several bytes intact.

        Arguments are checked at the call, not at the first piece.
        """
        tokenizer = self.need_tokenizer()
        _at_least_one(tokens=tokens)
        ids, end, sampling = [self._encode(prompt)], tokenizer.end, Sampling(temperature, top_k, top_p)
        steps = decode(
            self.module,
            ids,
            new=tokens,
            sampling=sampling,
            seed=seed,
            stop=(end,),
            start=end,
            context=self.config.context,
        )
        return _pieces(steps, TextStream(tokenizer))

    def _encode(self, prompt: str) -> list[int]:
        tokenizer = self.need_tokenizer()
        ids = tokenizer.encode(prompt)
        if not self.translates:
            return [tokenizer.end, *ids]
        if len(ids) >= self.config.context:  # many position schemes could go on, but the model never saw such a source
            raise ValueError(
                f"the source has {len(ids) + 1} tokens, the context {self.config.context}: shorten it, or use a model "
                "with a longer context"
            )
        return [*ids, tokenizer.end]


def _pieces(steps: Iterator[Step], text: TextStream) -> Iterator[str]:
    for step in steps:
        if piece := text.push(step.tokens[0]):
            yield piece
    if rest := text.finish():
        yield rest


def _at_least_one(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} = {number}, but it must be at least 1")


def _ragged(tokens: Tensor, lengths: Tensor | None) -> Layout | None:
    return None if lengths is None else Layout.ragged(lengths.to(tokens.device), tokens.shape[1])


def load(path: str | Path) -> Model:
    """The model in a folder, in evaluation mode, fp32. Strict: LoadError names whatever does not fit.

    A run that has not ended has no model.safetensors yet; its newest good checkpoint is taken, and `notices` says so.
    """
    folder = Path(path)
    blueprint = read_blueprint(folder)
    weights, notices = folder / "model.safetensors", ()
    if not weights.is_file():
        try:
            found = checkpoints.latest(folder)
        except ValueError as error:
            raise LoadError(str(error)) from error
        if found is None:
            raise LoadError(f"{weights} is missing, and there is no checkpoint either: nothing was trained here yet")
        weights = found.path / "model.safetensors"
        notices = (*found.notices, f"{folder} is not finished: this is its checkpoint of step {found.step}")
    module, tokenizer = read_module(blueprint, weights), read_tokenizer(folder)
    if tokenizer is not None and tokenizer.vocab > blueprint.config.vocab:
        raise LoadError(
            f"{folder}: the tokenizer has {tokenizer.vocab} ids, the model's embedding {blueprint.config.vocab}: "
            "they are not of one model"
        )
    return Model(module, blueprint, tokenizer, notices)


def save(model: Model, path: str | Path) -> None:
    """Write a model as a folder that `load` reads back: config.json, model.safetensors, tokenizer.json."""
    write_model(model.module, model.blueprint, model.tokenizer, Path(path))
