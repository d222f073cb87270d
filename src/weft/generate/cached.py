"""A module and its cache behind one question: what follows these rows?

Shapes: B rows in the cache, n of them per prompt (beams; else 1), T new tokens, V vocab.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from weft.nn import Cache, Decoder, EncoderDecoder, Layout

Prompt = Sequence[int] | Tensor
"""Ids; or vectors, floating point [S, C], of a source that is none of text (a sound's frames, an image's patches)."""


class Cached:
    """Prompts of unequal length in one batch: `prefill` once, then `step` with one token a row.

    prompts: what a decoder continues, or the sources an encoder-decoder reads, ids or vectors, all of one kind; there
             every target begins with `start` (one id, or several: Marian's padding, mBART's end and language).
             An empty prompt becomes [start].
    source:  what is given beside the prompts of a decoder that looks at it, as vectors [B, S, C], see `Decoder.insert`;
             source_here: where these sit.
    new:     most tokens a row may get. chunk: tokens of the prompts taken at once (None: all).
    context: the longest row, prompt included (encoder-decoders: the longest target); None: what the module can place.
             A position scaling that depends on the row's length is fixed for it, so that it does not depend on the
             other rows.

    Prompts are padded on the left; padding takes no place in the cache. Nothing is kept for gradients: call the methods
    under torch.inference_mode. ValueError for a module that sees ahead, prompts that do not fit, ids outside the
    vocabulary, and the like.
    """

    cache: Cache  # from `prefill` on

    def __init__(
        self,
        module: nn.Module,
        prompts: Sequence[Prompt],
        *,
        new: int,
        start: int | Sequence[int] | None = None,
        context: int | None = None,
        chunk: int | None = None,
        source: Tensor | None = None,
        source_here: Layout | None = None,
    ) -> None:
        module = writer(module)
        module.writing.check_causal()
        if new < 1 or (chunk is not None and chunk < 1):
            raise ValueError(
                f"new = {new} and chunk = {chunk}, but each must be at least 1 (chunk also None: all at once)"
            )
        if not prompts:
            raise ValueError("no prompt was given: give at least one; [] is an empty one")
        if source is not None and isinstance(module, EncoderDecoder):
            raise ValueError(
                "an encoder–decoder reads its prompts as sources, so that no other can be given: leave it out"
            )
        self.module, self.chunk = module, chunk
        self.given = source, source_here
        self.parts = list(module.modules())
        self.device = next(module.parameters()).device
        self.vocab = module.stem.vocab
        self.context = _context(module.context, context)
        if isinstance(module, EncoderDecoder):
            self.sources = _sources(module, prompts, start)
            self.targets = [_begin([], start) for _ in prompts]
            check_ids("start", self.targets, self.vocab)
        else:
            self.sources, self.targets = [], [_begin(prompt, start) for prompt in prompts]
            check_ids("prompt", self.targets, self.vocab)
        _check_lengths(self.targets, self.context, "prompt")
        self.room = [new if self.context is None else min(new, self.context - len(row)) for row in self.targets]

    def prefill(self) -> Tensor:
        """Take the prompts in; the scores of what follows each, [B, V]."""
        width = max(len(row) for row in self.targets)
        ends = [len(row) + room - 1 for row, room in zip(self.targets, self.room, strict=True)]  # the last is not fed
        capacity = max(width, *ends)
        chunk = min(self.chunk or width, width)
        with evaluating(self.parts):
            self.cache = self.module.cache(len(self.targets), capacity, length=self.context, chunk=chunk)
            if isinstance(self.module, EncoderDecoder):
                self.module.fill(self.cache, self.module.encode(*padded(self.sources, "right", self.device)))
            tokens, here = padded(self.targets, "left", self.device)
            source, source_here = self.given
            if source is not None and isinstance(self.module, Decoder):
                tokens = self.module.insert(tokens, source, source_here, here)  # [B, T, D]
            *early, last = range(0, width, chunk)
            for first in early:
                self._forward(tokens[:, first : first + chunk], _part(here, first, first + chunk))
            x = self._forward(tokens[:, last:], _part(here, last, width))  # [B, T, D]
            return self.module.logits(x[:, -1:])[:, -1]  # [B, V]

    def step(self, tokens: Tensor, alive: Sequence[bool]) -> Tensor:
        """One more token in every row, int64 [B]; the scores of what follows, [B, V].

        alive: of each prompt, whether its rows go on. The others get no token, and their scores mean nothing.
        """
        here = Layout()
        if not all(alive):
            real = torch.tensor(alive, device=self.device).repeat_interleave(self.cache.share)  # [B]
            here = Layout(segments=real[:, None].long())  # [B, 1]
        with evaluating(self.parts):
            return self.module.logits(self._forward(tokens[:, None], here))[:, -1]  # [B, V]

    def fork(self, n: int) -> None:
        """Each row n times, side by side."""
        self.cache.fork(n)

    def reorder(self, rows: Sequence[int]) -> None:
        """Row i becomes what row rows[i] was; rows stay with their prompt."""
        if list(rows) != list(range(len(rows))):
            self.cache.reorder(torch.tensor(rows, device=self.device))

    def keep(self, prompts: Sequence[int]) -> None:
        """Go on with the rows of these prompts only, in this order."""
        self.cache.keep(torch.tensor(prompts, device=self.device))

    def _forward(self, tokens: Tensor, here: Layout) -> Tensor:
        """tokens [B, T], or vectors [B, T, D] -> hidden states [B, T, D]."""
        if isinstance(self.module, EncoderDecoder):
            return self.module.decode(tokens, here, cache=self.cache)[0]
        return self.module(tokens, here, self.cache)[0]


def writer(module: nn.Module) -> Decoder | EncoderDecoder:
    """The module itself. ValueError where it goes on with no row."""
    if isinstance(module, Decoder | EncoderDecoder):
        return module
    raise ValueError(
        f"{type(module).__name__} cannot generate, it reads whole rows: a row is continued by a Decoder or an "
        "EncoderDecoder"
    )


def padded(rows: Sequence[Prompt], side: str, device: torch.device) -> tuple[Tensor, Layout]:
    """Rows of unequal length as int64 [B, T], or vectors [B, T, C], padded on the "left" or the "right", and where
    their tokens sit."""
    tensors = [
        row.to(device) if isinstance(row, Tensor) else torch.tensor(row, dtype=torch.int64, device=device)
        for row in rows
    ]
    lengths = [len(row) for row in tensors]
    width = max(lengths)
    if min(lengths) == width:
        return torch.stack(tensors), Layout()
    full = tensors[0].new_zeros(len(tensors), width, *tensors[0].shape[1:])
    for row, tensor, length in zip(full, tensors, lengths, strict=True):
        row[width - length if side == "left" else 0 :][:length] = tensor
    return full, Layout.ragged(torch.tensor(lengths, device=device), width, side=side)


@contextmanager
def evaluating(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Dropout and the like are off inside; afterwards every part is as it was."""
    training = [part for part in parts if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


def check_ids(what: str, rows: Sequence[Sequence[int]], vocab: int) -> None:
    """ValueError for a number that is no id of the model."""
    for number, row in enumerate(rows):
        for place, token in enumerate(row):
            if not 0 <= token < vocab:
                raise ValueError(
                    f"{what} {number}: {token}, at place {place}, is no id of this model, which has 0 to {vocab - 1}: "
                    "use the tokenizer it was trained with"
                )


def check_vectors(what: str, rows: Sequence[Tensor], channels: int) -> None:
    """ValueError for what is no row of vectors as a model reads them."""
    for number, row in enumerate(rows):
        if not row.is_floating_point() or row.ndim != 2 or row.shape[1] != channels or not len(row):
            kind = f"{str(row.dtype).removeprefix('torch.')} {list(row.shape)}"
            raise ValueError(f"{what} {number} is {kind}, but this model reads vectors [places, {channels}]")


def _sources(module: EncoderDecoder, prompts: Sequence[Prompt], start: int | Sequence[int] | None) -> list[Prompt]:
    """What the encoder reads, all ids or all vectors of its stem's, in the precision of its weights. ValueError for
    what it does not read."""
    stem, rows = module.embed, list[Prompt]()
    vectors = [prompt for prompt in prompts if isinstance(prompt, Tensor)]
    if not vectors and not stem.vocab:
        raise ValueError(
            f"this model reads no ids: give vectors [places, {stem.channels}], as its processor makes them"
        )
    if vectors and len(vectors) < len(prompts):
        raise ValueError("some sources are ids and some are vectors: give them in batches of one kind")
    check_vectors("source", vectors, stem.channels)
    if vectors:
        example = next(module.parameters())
        rows += [row.to(example) for row in vectors]
    else:
        ids = [_begin(prompt, start) for prompt in prompts]
        check_ids("prompt", ids, stem.vocab)
        rows += ids
    _check_lengths(rows, module.source_context, "source", "places" if vectors else "tokens")
    return rows


def _begin(prompt: Prompt, start: int | Sequence[int] | None) -> list[int]:
    """The prompt's ids, or those it starts with where it has none. ValueError for vectors."""
    if isinstance(prompt, Tensor):
        raise ValueError("a decoder goes on with ids, and vectors were given: they are what an encoder-decoder reads")
    if len(prompt):
        return list(prompt)
    if start is None:
        raise ValueError("an empty row needs a token to begin with: give start (the tokenizer's end id)")
    return [start] if isinstance(start, int) else list(start)


def _context(own: int | None, wanted: int | None) -> int | None:
    """The longest row; one that is asked for may be shorter than what the module can place, never longer."""
    if wanted is not None and wanted < 1:
        raise ValueError(f"context = {wanted}, but a row has at least 1 token")
    if own is not None and wanted is not None and wanted > own:
        raise ValueError(
            f"context = {wanted}, but the trained positions end at {own}: ask for at most {own}, or build the model "
            "with a longer context or another position scheme"
        )
    return own if wanted is None else wanted


def _check_lengths(rows: Sequence[Prompt], context: int | None, what: str, unit: str = "tokens") -> None:
    """ValueError for a row that is longer than the context."""
    for number, row in enumerate(rows):
        if context is not None and len(row) > context:
            raise ValueError(
                f"{what} {number} has {len(row)} {unit}, the context {context}: shorten it (keep its last {context} "
                f"{unit}, say), or use a model with a longer context"
            )


def _part(here: Layout, first: int, stop: int) -> Layout:
    """A chunk of a layout that was written out; a plain one stays plain, and the cache numbers it."""
    if here.segments is None:
        return here
    return Layout(segments=here.segments[:, first:stop])
