"""Bare modules: a stem, stacks and a head. They know no loss, no optimiser and no tokenizer.

`forward` ends at hidden states; the head is a call of its own, so that chunked losses and other heads need no switch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from weft.nn.branch import Auxiliary
from weft.nn.cache import Cache
from weft.nn.context import Context, Memory
from weft.nn.embed import Embed, LMHead
from weft.nn.layout import Layout
from weft.nn.stack import Stack
from weft.nn.stem import Stem


class Writer(nn.Module, ABC):
    """What goes on with a row token by token: hidden states [B, T, D] of `writing`, a head, and a cache that fits."""

    head: LMHead

    @property
    @abstractmethod
    def stem(self) -> Embed:
        """What makes vectors of the tokens that are written."""

    @property
    @abstractmethod
    def writing(self) -> Stack:
        """The stack whose hidden states the head reads."""

    @property
    def table(self) -> Tensor | None:
        """The embeddings that a tied head reads, [V, D]."""
        return self.stem.weight

    @property
    def context(self) -> int | None:
        """The longest row the stem can place; None: any."""
        return self.stem.position.context

    def logits(self, x: Tensor) -> Tensor:
        """Hidden states [B, T, D] -> scores [B, T, V]."""
        return self.head(x, self.table)

    def nats(self, x: Tensor, labels: Tensor, *, ignored: int = -100) -> Tensor:
        """Σ -log p(label) of hidden states [B, T, D], fp32; see `LMHead.nats`."""
        return self.head.nats(x, labels, self.table, ignored=ignored)

    def cache(
        self, rows: int, capacity: int, *, length: int | None = None, chunk: int | None = None,
        dtype: torch.dtype | None = None,
    ) -> Cache:  # fmt: skip
        """See `Stack.cache`."""
        return self.writing.cache(rows, capacity, length=length, chunk=chunk, dtype=dtype)

    def _begin(self, here: Layout, length: int, cache: Cache | None) -> Layout:
        """Number this pass after what the cache holds; a compiled step has reserved its places itself."""
        if cache is None:
            check_length(self.context, length)
            return here
        if not torch.compiler.is_compiling():
            check_length(self.context, cache.after(length, here.segments))
            cache.reserve(length, here.segments)
        return cache.begin(here, length)


class Decoder(Writer):
    """embed -> stack, then `logits`. The classic language model; with a Full field also an encoder with a head."""

    def __init__(self, embed: Embed, stack: Stack, *, head: LMHead) -> None:
        super().__init__()
        self.embed, self.stack, self.head = embed, stack, head

    @property
    def stem(self) -> Embed:
        return self.embed

    @property
    def writing(self) -> Stack:
        return self.stack

    def forward(
        self, tokens: Tensor, here: Layout | None = None, cache: Cache | None = None, source: Tensor | None = None,
        source_here: Layout | None = None,
    ) -> tuple[Tensor, Auxiliary]:  # fmt: skip
        """tokens int64 [B, T] (or vectors [B, T, D]) -> hidden states [B, T, D] and auxiliary terms. source: what is
        given beside them, see `insert`."""
        here = here or Layout()
        if source is not None:
            tokens = self.insert(tokens, source, source_here, here)  # [B, T, D]
        here = self._begin(here, tokens.shape[1], cache)
        return self.stack(self.embed(tokens, here), Context(here), cache)

    def insert(
        self, tokens: Tensor, source: Tensor, source_here: Layout | None = None, here: Layout | None = None
    ) -> Tensor:
        """Seam: tokens int64 [B, T] with what a source [B, S, C] (images, say) puts in the place of some of them, as
        vectors [B, T, D] for `forward`. ValueError for a decoder that reads tokens alone."""
        raise ValueError("this decoder reads tokens alone, and a source was given beside them: leave it out")


class EncoderDecoder(Writer):
    """Two stacks: the decoder's `memory` field looks at what the encoder made of the source: of ids, or of the vectors
    that its stem reads.

    A target stem without a table of its own (own=False) reads the source's; a tied head reads the target's.
    """

    def __init__(self, embed: Stem, encoder: Stack, target: Embed, decoder: Stack, *, head: LMHead) -> None:
        super().__init__()
        self.embed, self.encoder = embed, encoder
        self.target, self.decoder, self.head = target, decoder, head

    @property
    def stem(self) -> Embed:
        return self.target

    @property
    def table(self) -> Tensor | None:
        """The embeddings that a tied head reads, [V, D]: the target's, or those of the source that it shares."""
        return self.embed.weight if self.target.weight is None else self.target.weight

    @property
    def writing(self) -> Stack:
        return self.decoder

    @property
    def source_context(self) -> int | None:
        """The longest source row the stem can place; None: any."""
        return self.embed.context

    def forward(
        self, source: Tensor, tokens: Tensor, source_here: Layout | None = None, here: Layout | None = None
    ) -> tuple[Tensor, Auxiliary]:
        """source int64 [B, S] (or vectors [B, S, C]), tokens int64 [B, T] (decoder inputs, start token included) ->
        [B, T, D]."""
        return self.decode(tokens, here, memory=self.encode(source, source_here))

    def encode(self, source: Tensor, here: Layout | None = None) -> Memory:
        """source int64 [B, S] (or vectors [B, S, C]) -> a memory of [B, S, D], of as many places as the stem makes."""
        check_length(self.source_context, source.shape[1])
        x, here = self.embed.read(source, here or Layout())
        states, _ = self.encoder(x, Context(here))
        return Memory(states, here)

    def decode(
        self, tokens: Tensor, here: Layout | None = None, *, memory: Memory | None = None, cache: Cache | None = None
    ) -> tuple[Tensor, Auxiliary]:
        """tokens int64 [B, T] -> [B, T, D]; the memory is given, or was filled into the cache (`fill`)."""
        here = self._begin(here or Layout(), tokens.shape[1], cache)
        return self.decoder(self.target(tokens, here, self.table), Context(here, memory), cache)

    def fill(self, cache: Cache, memory: Memory) -> None:
        """See `Stack.fill`."""
        self.decoder.fill(cache, memory)


def check_length(context: int | None, length: int) -> None:
    """A stem with a table of positions cannot place what lies beyond it."""
    if context is not None and length > context and not torch.compiler.is_compiling():
        raise ValueError(
            f"{length} tokens, but the trained positions end at {context}: shorten the row, or build the model with a "
            "longer context or another position scheme"
        )
