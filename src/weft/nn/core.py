"""What stands between queries, keys and values and what is mixed of them, where that is not `attend`.

A core is put into an attention by a kind (`weft.nn.kind`); it has its own arithmetic, and may have numbers of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from weft.nn.context import Field, Sight
from weft.nn.kernels import Scoring, attend
from weft.nn.layout import Layout
from weft.nn.mask import Full, Mask
from weft.nn.position import Placed
from weft.nn.slots import Slot

if TYPE_CHECKING:
    from weft.nn.attention import Attention

POSITIONS = "choose a position scheme that adds nothing to scores: none, sinusoid, learned or rope"
KINDS = "choose full, window or block_global attention, or a model without it"


class Core(nn.Module, ABC):
    """In place of `attend` in one attention."""

    name = ""  # of the kind, for people

    @abstractmethod
    def forward(self, q: Tensor, k: Tensor, v: Tensor, sight: Sight, how: Scoring, slot: Slot | None) -> Tensor:
        """q [B, T, H, K], k [B, S, G, K], v [B, S, G, Kv] -> [B, T, H, Kv]. ValueError for what it cannot do."""

    def check(self, attention: Attention, field: Field) -> None:
        """ValueError where it cannot stand in this attention, which looks through this field."""
        if attention.relative is not None or field.position.relative:
            self.refuse("a position scheme with scores by distance", POSITIONS)

    def slot(self, attention: Attention, mask: Mask, rows: int) -> Slot | None:
        """A cache place of its own; None: keys and values are kept, as any attention's."""
        return None

    def refuse(self, part: str, instead: str) -> None:
        raise ValueError(f"{self.name} attention cannot be combined with {part}: {instead}")


class LowRank(Core):
    """softmax(q (E k)ᵀ) F v (Wang et al. 2020, Linformer): `rank` mixtures of the keys and of the values stand for all
    of them, in rows of up to `length` places.

    E, F [rank, length] are shared by the heads of a layer (the paper's headwise sharing). Their columns are read by a
    token's place in its document, and padding is left out, so that a row is the same alone and in a batch. Rope turns
    keys before they are mixed. Every mixture has what comes later in it, hence no causal field; documents of one row
    would be mixed, hence no packing: on a CPU that is an error, elsewhere, and compiled, the row becomes NaN, as asking
    would wait for the device.
    """

    name = "low-rank"

    def __init__(self, rank: int, length: int) -> None:
        super().__init__()
        self.rank, self.length = rank, length
        self.keys, self.values = (nn.Parameter(torch.empty(rank, length)) for _ in range(2))
        self.reset()

    def reset(self) -> None:
        """N(0, 1/length): a mixture of keys is as large as a key."""
        nn.init.normal_(self.keys, std=self.length**-0.5)
        nn.init.normal_(self.values, std=self.length**-0.5)

    def check(self, attention: Attention, field: Field) -> None:
        super().check(attention, field)
        if not isinstance(field.mask, Full):
            self.refuse(f"the mask {field.mask}", "it mixes all places of a row: choose another kind, or an encoder")

    def forward(self, q: Tensor, k: Tensor, v: Tensor, sight: Sight, how: Scoring, slot: Slot | None) -> Tensor:
        rank, here = torch.arange(self.rank, device=q.device)[None], sight.k  # [1, R]
        if k.shape[1] > self.length:
            self.refuse(f"a row of {k.shape[1]} places", f"it was built for {self.length} (model.attention.length)")
        if here.prefix:
            self.refuse("a shared prefix", KINDS)
        if sight.plain:
            k, v = (torch.einsum("rs,bsgk->brgk", e[:, : x.shape[1]], x) for e, x in ((self.keys, k), (self.values, v)))
            return attend(q, k, v, Sight(sight.q, Layout(rank), Placed()), how)
        real, document, packed = self._documents(here, q)
        place = here.order.expand(k.shape[:2]).clamp(0, self.length - 1)  # type: ignore[union-attr]  # [B, S]
        k, v = (
            torch.einsum("bsr,bsgk->brgk", nn.functional.embedding(place, e.mT) * real[..., None], x)  # [B, R, G, K]
            for e, x in ((self.keys, k), (self.values, v))
        )
        mixtures = Sight(sight.q, Layout(rank, document.expand(-1, self.rank)), Placed(), mask=Full())
        return attend(q, k, v, mixtures, how).masked_fill(packed[..., None, None], torch.nan)

    def _documents(self, here: Layout, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Which places are real [B, S], the number of a row's document [B, 1], whether it has several [B, 1]."""
        assert here.order is not None
        segments = torch.ones_like(here.order) if here.segments is None else here.segments
        real, document = segments > 0, segments.amax(dim=1, keepdim=True)
        packed = ((segments != document) & real).any(dim=1, keepdim=True)
        if like.device.type == "cpu" and not torch.compiler.is_compiling() and bool(packed.any()):
            self.refuse("several documents in a row", "set data.rows=stream, or choose another kind")
        return real, document, packed

    def extra_repr(self) -> str:
        return f"rank={self.rank}, length={self.length}"
