"""What stands in a residual stream: anything with (x, ctx, slot) -> (y, auxiliary)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from weft.nn.context import Context

Auxiliary = dict[str, Tensor] | None  # extra loss terms by name, unweighed: the objective knows what each is worth
Slots = Any  # None, a Slot, or a dict of these: whatever `Branch.slots` returned comes back as `slot`


class Branch(nn.Module, ABC):
    """A branch of the residual stream. Auxiliary terms are returned, never left behind in a list: there they lose
    their gradients under FSDP2 and count twice under checkpointing."""

    @abstractmethod
    def forward(self, x: Tensor, ctx: Context, slot: Slots = None) -> tuple[Tensor, Auxiliary]:
        """x [B, T, D] -> [B, T, D] and auxiliary terms; slot: its own part of a cache, None without one."""

    def slots(self, make: Callable[[Any], Any]) -> Slots:
        """The cache places this branch wants; `make` turns an attention, or what has a state, into a slot. None: it
        keeps nothing."""
        return None

    def fill(self, slot: Slots, ctx: Context) -> None:
        """Write what does not change while decoding (keys and values of a memory) into the slot."""


def join(a: Auxiliary, b: Auxiliary) -> Auxiliary:
    """Sum of auxiliary terms by name."""
    if a is None or b is None:
        return a if b is None else b
    total = dict(a)
    for name, term in b.items():
        total[name] = total[name] + term if name in total else term
    return total
