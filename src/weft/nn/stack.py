"""Layers in a row, the fields they look through, and the cache that fits them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from weft.nn.attention import Attention
from weft.nn.branch import Auxiliary, join
from weft.nn.cache import Cache
from weft.nn.context import Context, Field, Memory, Sight
from weft.nn.dropout import Dropout
from weft.nn.recurrent import GRU, Alignment
from weft.nn.slots import Book, FixedSlot, FullSlot, Kept, RingSlot, StateSlot


class Stack(nn.Module):
    """x [B, T, D] -> [B, T, D] through `layers`, executed in `order` (ALBERT: [0] * 12), then drop(norm(x)).

    fields: by the names that attentions look through. A layer is anything with (x, ctx, slots) -> (x, auxiliary),
    slots(make) and fill(slots, ctx), as `Block` has them.
    """

    def __init__(
        self, layers: Sequence[nn.Module], *, fields: Mapping[str, Field], order: Sequence[int] | None = None,
        norm: nn.Module | None = None, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.fields = nn.ModuleDict(fields)
        self.order = tuple(range(len(layers))) if order is None else tuple(order)
        self.norm, self.drop = norm or nn.Identity(), Dropout(dropout)

    def forward(
        self, x: Tensor, ctx: Context, cache: Cache | None = None, upto: int | None = None
    ) -> tuple[Tensor, Auxiliary]:
        """x [B, T, D] -> [B, T, D] and auxiliary terms, summed by name; with a cache, as its next tokens.

        upto: leave out the layers from this execution step on, and norm and dropout (negative counts from the end).
        """
        ctx = replace(ctx, sights=self.sights(x, ctx, cache))
        auxiliary: Auxiliary = None
        for step, layer in enumerate(self.order[:upto]):
            x, extra = self.layers[layer](x, ctx, None if cache is None else cache.at(step))
            auxiliary = join(auxiliary, extra)
        if cache is not None:
            cache.advance(ctx.here)
        return (self.drop(self.norm(x)) if upto is None else x), auxiliary

    def sights(self, x: Tensor, ctx: Context, cache: Cache | None) -> dict[str, Sight]:
        """Every field, resolved once from where the tokens sit and from what the cache says of its keys."""
        length, device = x.shape[1], x.device
        placed = None if cache is None else cache.place(ctx.here)
        sights: dict[str, Sight] = {}
        for name, field in self.fields.items():
            assert isinstance(field, Field)
            if field.keys == "memory":
                if cache is not None and cache.memory is not None:
                    memory, width, share = cache.memory, cache.memory_width, cache.share
                elif ctx.memory is not None:
                    memory, width, share = ctx.memory.here, ctx.memory.states.shape[1], 1
                else:
                    continue  # `Context.sight` says so to the attention that wants it
                sights[name] = field.across(ctx.here, length, memory, width, share, device)
            elif placed is None:
                sights[name] = field.among(ctx.here, length, device)
            elif name in placed:  # else no layer that runs looks through it
                assert cache is not None
                sights[name] = field.cached(ctx.here, *placed[name], cache.length)
        return sights

    def cache(
        self, rows: int, capacity: int, *, length: int | None = None, chunk: int | None = None,
        dtype: torch.dtype | None = None,
    ) -> Cache:  # fmt: skip
        """An empty cache for `rows` rows of up to `capacity` tokens, taken at most `chunk` at a time (default: all).

        A windowed field gets a ring of window + chunk - 1 places, a state as many as a chunk has. length: what a
        position scaling is fixed for (default: the capacity). dtype: of keys and values (default: the parameters').
        ValueError for sizes below 1, and for a stack that cannot go token by token.
        """
        self.check_causal()
        length, chunk = (capacity if size is None else size for size in (length, chunk))
        if min(rows, capacity, length, chunk) < 1:
            raise ValueError(
                f"a cache of {rows} x {capacity} places, made for rows of {length}, in chunks of {chunk}: each must be "
                "at least 1"
            )
        example = next(self.parameters())
        device, dtype = example.device, dtype or example.dtype
        books: dict[str, Book] = {}

        def make(attention: Attention | Alignment | GRU) -> Kept:
            if isinstance(attention, GRU):
                return StateSlot(torch.zeros(rows, chunk + 1, attention.width, device=device, dtype=dtype))
            field = self.fields[attention.field]
            assert isinstance(field, Field)
            if field.keys == "memory":
                return FixedSlot()
            assert isinstance(attention, Attention)
            back, ahead = field.mask.reach()
            ring = back is not None and ahead == 0 and back + chunk < capacity
            size = back + chunk if ring and back is not None else capacity
            books.setdefault(attention.field, Book(rows, size, ring=ring, device=device))
            own = None if attention.core is None else attention.core.slot(attention, field.mask, rows)
            if own is not None:
                return own
            k = torch.zeros(rows, size + 1, attention.kv_heads, attention.head_width, device=device, dtype=dtype)
            v = torch.zeros(rows, size + 1, attention.kv_heads, attention.value_width, device=device, dtype=dtype)
            return (RingSlot if ring else FullSlot)(k, v)

        steps = [self.layers[layer].slots(make) for layer in self.order]  # type: ignore[operator]
        return Cache(rows, capacity, books, steps, length=length, chunk=chunk)

    def check_causal(self) -> None:
        """ValueError where a field sees ahead in its own row, so that it cannot be continued token by token."""
        for name, field in self.fields.items():
            assert isinstance(field, Field)
            if field.keys == "self" and not field.mask.causal():
                raise ValueError(
                    f"the field {name!r} sees ahead ({field.mask}), so a row cannot be continued token by token: "
                    f"build it with Causal(), or with {field.mask} & Causal(); whole rows need no cache"
                )

    def fill(self, cache: Cache, memory: Memory) -> None:
        """Compute what the cache keeps of a memory: keys, values and layout, once before the first step. ValueError
        where the memory has another number of rows than the cache had before it was forked."""
        rows = memory.states.shape[0]
        if rows * cache.share != cache.rows:
            raise ValueError(
                f"a memory of {rows} rows for a cache of {cache.rows}, {cache.share} of which read one: make them agree"
            )
        cache.memory, cache.memory_width = memory.here, memory.states.shape[1]
        ctx = Context(memory.here, memory)
        ctx = replace(ctx, sights=self.sights(memory.states, ctx, None))
        for step, layer in enumerate(self.order):
            self.layers[layer].fill(cache.at(step), ctx)  # type: ignore[operator]
