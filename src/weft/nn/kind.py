"""A kind of attention as data: who sees whom in a family's self fields, and what is computed there.

Any kind goes into any family after it was built (`Kind.put`), or is refused by name; a kind is a frozen value with a
name, so that a model with a swapped part saves and loads. Attention to a memory stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from weft.nn.attention import Attention
from weft.nn.blocks import RandomBlocks
from weft.nn.context import Field
from weft.nn.core import Core, LowRank
from weft.nn.mask import Causal, Full, Global, Mask, Window
from weft.nn.stack import Stack
from weft.nn.sums import Elu, Positive


@dataclass(frozen=True)
class Kind:
    """The base class is full attention: the family's own masks, softmax over all that they show.

    packs: several documents of a row can be kept apart.
    """

    packs: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name in ("seed", "tokens", "random") else 1
            if value is not None and value < least:
                raise ValueError(f"an attention with {name} = {value}, but it must be at least {least}")

    def mask(self, causal: bool) -> Mask:
        """What the mask of a field, one that looks back only or one that looks both ways, is narrowed by."""
        return Full()

    def core(self, attention: Attention, context: int, number: int) -> Core | None:
        """What stands in for `attend` in the `number`-th attention of a model for rows of `context`; None: nothing."""
        return None

    def put(self, module: nn.Module, context: int) -> None:
        """Narrow every self field of a module that a family has built, and change the attentions that look through it.
        ValueError where a part of the family cannot be combined with this kind."""
        stacks = [part for part in module.modules() if isinstance(part, Stack)]
        looking = [(stack.fields[a.field], a) for stack in stacks for a in stack.modules() if isinstance(a, Attention)]
        own = [(field, a) for field, a in looking if isinstance(field, Field) and field.keys == "self"]
        for number, (field, attention) in enumerate(own):
            attention.core = self.core(attention, context, number)
            if attention.core is not None:
                attention.core.check(attention, field)
        for field in dict.fromkeys(field for field, _ in own):
            field.mask = _narrow(field.mask, self.mask(field.mask.causal()))


def _narrow(mask: Mask, by: Mask) -> Mask:
    """Both, without what says nothing."""
    if isinstance(by, Full):
        return mask
    looks_back = by.reach()[1] == 0 and by.causal()
    return by if isinstance(mask, Full) or (isinstance(mask, Causal) and looks_back) else mask & by


@dataclass(frozen=True)
class WindowKind(Kind):
    """The last `size` places, a query's own among them; where a field looks both ways, half of them to each side
    (Longformer, Beltagy et al. 2020)."""

    size: int = 256

    def mask(self, causal: bool) -> Mask:
        return Window(self.size) if causal else Window(self.size // 2 + 1, self.size // 2)


@dataclass(frozen=True)
class BlockGlobalKind(WindowKind):
    """A window, `tokens` first places of each document that see all and are seen by all, and `random` blocks of `block`
    places for each block (BigBird, Zaheer et al. 2020; random = 0: Longformer). Only random blocks are cut to blocks;
    they are the same in every layer, see `RandomBlocks`."""

    tokens: int = 64
    random: int = 3
    block: int = 64
    seed: int = 0

    def mask(self, causal: bool) -> Mask:
        mask = super().mask(causal) | Global(self.tokens)
        return mask | RandomBlocks(self.block, self.random, self.seed) if self.random else mask


@dataclass(frozen=True)
class LowRankKind(Kind):
    """Wang et al. 2020, see `LowRank`. length: of the longest row; None: the model's context."""

    packs: ClassVar[bool] = False
    rank: int = 256
    length: int | None = None

    def core(self, attention: Attention, context: int, number: int) -> Core | None:
        return LowRank(self.rank, self.length or context)


@dataclass(frozen=True)
class FeaturesKind(Kind):
    """Choromanski et al. 2021, see `Positive`. seed: of the features, other ones in each layer."""

    features: int = 256
    seed: int = 0

    def core(self, attention: Attention, context: int, number: int) -> Core | None:
        return Positive(self.features, attention.head_width, self.seed + 1_000_003 * number)


@dataclass(frozen=True)
class LinearKind(Kind):
    """Katharopoulos et al. 2020, see `Elu`."""

    def core(self, attention: Attention, context: int, number: int) -> Core | None:
        return Elu()


ATTENTIONS: dict[str, type[Kind]] = {
    "full": Kind,
    "window": WindowKind,
    "block_global": BlockGlobalKind,
    "low_rank": LowRankKind,
    "features": FeaturesKind,
    "linear": LinearKind,
}
