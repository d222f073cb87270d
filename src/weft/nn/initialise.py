"""Initialisations a family can name. All draw from torch's default generator: seed it first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import nn

from weft.nn.embed import Embed, LMHead
from weft.nn.linear import Linear


@runtime_checkable
class Resets(Protocol):
    """A part with parameters of its own."""

    def reset(self) -> None:
        """Give them their default values."""


def normal(module: nn.Module, *, std: float = 0.02, depth: int | None = None) -> None:
    """N(0, std²) for projections and tables, zero biases; what writes into the residual stream is divided by √(2·depth)
    where a depth is given (GPT-2, Radford et al. 2019, §2.3)."""
    shrunk = std * (2 * depth) ** -0.5 if depth else std
    _draw(module, lambda part: nn.init.normal_(part.weight, std=shrunk if part.residual else std), lambda part: std)


def xavier(module: nn.Module) -> None:
    """Xavier uniform projections, tables N(0, 1/D) (Vaswani et al. 2017's code; embeddings are scaled by √D)."""
    _draw(module, lambda part: nn.init.xavier_uniform_(part.weight), lambda part: part.width**-0.5)


def fan_in(module: nn.Module) -> None:
    """N(0, 1/inputs) for projections and heads, N(0, 1) for tables, zero biases (Raffel et al. 2020's code)."""

    def table(part: Embed | LMHead) -> float:
        return 1.0 if isinstance(part, Embed) else part.width**-0.5

    _draw(module, lambda part: nn.init.normal_(part.weight, std=part.width_in**-0.5), table)


def _draw(module: nn.Module, linear: Callable[[Linear], object], table: Callable[[Embed | LMHead], float]) -> None:
    """Draw projections, with zero biases, and N(0, table(part)²) tables, in the order in which parts stand."""
    for part in module.modules():
        if isinstance(part, Linear):
            linear(part)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, Embed | LMHead) and part.weight is not None:
            nn.init.normal_(part.weight, std=table(part))


def reset(module: nn.Module) -> None:
    """Every part's own default, after a module was built on the meta device and given memory."""
    for part in module.modules():
        if isinstance(part, Resets):
            part.reset()
