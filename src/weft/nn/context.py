"""A forward pass but for the residual stream: where tokens sit, what is remembered, what each field sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from weft.nn.blocked import Span, spans
from weft.nn.layout import Layout
from weft.nn.mask import Causal, Full, Mask, Reach, visible
from weft.nn.position import Placed, Position


@dataclass(frozen=True)
class Memory:
    """What cross-attention reads. states [B, S, D]; here: where its tokens sit."""

    states: Tensor
    here: Layout


@dataclass(frozen=True)
class Sight:
    """A field, resolved for one pass: what any attention of that field may see, and by which kernel.

    mask:    who sees whom within a document; None where `causal` or nothing is hidden.
    causal:  a static fact: one full document a row, query t sees keys 0..t.
    plain:   a static fact: one full document a row, keys that are the queries' own.
    reach:   a static bound on how far back and ahead a query sees, for keys that are the queries' own; None elsewhere.
    kernel:  which attention kernel runs, see `Field`.
    index:   [B, T] cache places the new keys go to; None without a cache.
    share:   how many neighbouring rows share one memory (beams).

    Masks become tensors when a kernel asks for them, whole or block by block, and are kept for the other layers of the
    pass: that is all `made` is for.
    """

    q: Layout
    k: Layout
    placed: Placed
    kernel: str | None = None
    mask: Mask | None = None
    causal: bool = False
    plain: bool = False
    reach: Reach | None = None
    index: Tensor | None = None
    share: int = 1
    made: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def allowed(self) -> Tensor | None:
        """The mask as a tensor, bool, broadcastable to [B, T, S]; None where `causal` or nothing is hidden."""
        if self.mask is None:
            return None
        if "allowed" not in self.made:
            self.made["allowed"] = visible(self.mask, self.q, self.k)
        return self.made["allowed"]

    def cuts(self) -> tuple[Span, ...]:
        """Blocks of queries and what they can reach, see `weft.nn.blocked`."""
        assert self.reach is not None
        if "cuts" not in self.made:
            length = self.q.places.shape[1]
            self.made["cuts"] = spans(length, *self.reach, self.mask if self.plain else None)
        return self.made["cuts"]

    def blocks(self) -> tuple[Tensor, ...]:
        """The mask of each of `cuts`, bool, broadcastable to [B, H, n, s]; none where nothing is hidden."""
        mask = Causal() if self.causal else self.mask
        if mask is not None and "blocks" not in self.made:
            self.made["blocks"] = tuple(
                visible(mask, self.q.part(((start, stop),)), self.k.part(ranges))[:, None]  # [B, 1, n, s]
                for start, stop, ranges in self.cuts()
            )
        return self.made.get("blocks", ())

    def rotate_q(self, x: Tensor) -> Tensor:
        """Queries [B, T, H, K], turned to their places."""
        return self.placed.rotate_q(x)

    def rotate_k(self, x: Tensor) -> Tensor:
        """New keys [B, S, G, K], turned to theirs."""
        return self.placed.rotate_k(x)


class Field(nn.Module):
    """A receptive field: geometry only. Named, owned by the Stack, resolved once per pass.

    keys:   "self", the row's own tokens; "memory", what `Context.memory` or a filled cache holds.
    kernel: which attention kernel runs; None lets a rule of shapes decide. See `weft.nn.kernels.use`.
    """

    def __init__(self, position: Position, mask: Mask, *, keys: Literal["self", "memory"] = "self") -> None:
        super().__init__()
        self.position, self.mask, self.keys = position, mask, keys
        self.kernel: str | None = None

    def among(self, here: Layout, length: int, device: torch.device) -> Sight:
        """Queries and keys are the same tokens, [B, T] both."""
        q = here.numbered(length, device)
        columns = self.position.relative and here.order is None and here.coords is None and not here.prefix
        placed = self.position.along(length, device) if columns else self.position.at(q, q, q, length)
        if here.plain and isinstance(self.mask, Full | Causal):  # no mask is ever built
            causal = isinstance(self.mask, Causal)
            return Sight(q, q, placed, self.kernel, causal=causal, plain=True, reach=self.mask.reach())
        if here.segments is None and isinstance(self.mask, Full):  # places are given, and hide nothing
            return Sight(q, q, placed, self.kernel, plain=here.plain, reach=self.mask.reach())
        # within a segment places are neighbours; a shared prefix is seen, and sees itself, however far away it lies
        reach = (None, None) if here.prefix else self.mask.reach()
        return Sight(q, q, placed, self.kernel, self.mask, plain=here.plain, reach=reach)

    def cached(self, here: Layout, keys: Layout, index: Tensor, length: int) -> Sight:
        """Queries here, keys wherever the cache has put them."""
        placed = self.position.at(here, keys, here, length)
        return Sight(here, keys, placed, self.kernel, self.mask, index=index)

    def across(self, here: Layout, length: int, memory: Layout, width: int, share: int, device: torch.device) -> Sight:
        """Queries here, keys in a memory of `width` places that `share` neighbouring rows read together."""
        q = here.numbered(length, device).fold(share)
        k = memory.numbered(width, device)
        placed = self.position.at(q, k, k, width)
        whole = here.segments is None and memory.segments is None and isinstance(self.mask, Full)
        return Sight(q, k, placed, self.kernel, None if whole else self.mask, share=share)

    def extra_repr(self) -> str:
        return f"{self.mask}, keys={self.keys!r}, kernel={self.kernel or 'by shape'}"


@dataclass(frozen=True)
class Context:
    """All of a forward pass that is not the residual stream; frozen. A sight fills in what it makes of its own mask."""

    here: Layout
    memory: Memory | None = None
    sights: Mapping[str, Sight] = field(default_factory=dict)

    def sight(self, name: str) -> Sight:
        """What the field of this name sees; ValueError where the stack has no such field, or it has nothing to see."""
        if name not in self.sights:
            raise ValueError(
                f"no field {name!r} in this pass, which has {', '.join(self.sights) or 'none'}: give the stack that "
                "field, or, if it looks at a memory, give this pass one"
            )
        return self.sights[name]
