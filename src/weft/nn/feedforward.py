"""The position-wise branch: one hidden layer, plain or gated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from weft.nn.branch import Branch
from weft.nn.context import Context
from weft.nn.dropout import Dropout
from weft.nn.linear import Linear
from weft.nn.tap import Tap

Activation = Callable[[Tensor], Tensor]


def _quick_gelu(x: Tensor) -> Tensor:
    """x · σ(1.702 x): the approximation CLIP was trained with."""
    return x * torch.sigmoid(1.702 * x)


def _relu_squared(x: Tensor) -> Tensor:
    """relu(x)² (So et al. 2021, Primer)."""
    return functional.relu(x).square()


ACTIVATIONS: dict[str, Activation] = {
    "relu": functional.relu,
    "relu2": _relu_squared,
    "gelu": functional.gelu,
    "gelu_tanh": partial(functional.gelu, approximate="tanh"),
    "quick_gelu": _quick_gelu,
    "silu": functional.silu,
    "mish": functional.mish,
    "tanh": torch.tanh,
}


def activation(name: str) -> Activation:
    """The activation of this name; ValueError where there is none."""
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}; there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


class MLP(Branch):
    """down(drop(act(up(x)))). x [B, T, D] -> [B, T, D]."""

    def __init__(self, width: int, hidden: int, *, act: str = "gelu", bias: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.act = activation(act)
        self.up = Linear(width, hidden, bias=bias)
        self.down = Linear(hidden, width, bias=bias, residual=True)
        self.hidden, self.drop = Tap(), Dropout(dropout)

    def forward(self, x: Tensor, ctx: Context, slot: None = None) -> tuple[Tensor, None]:
        hidden = self.hidden(self.act(self.up(x)))  # [B, T, hidden]
        return self.down(self.drop(hidden)), None  # [B, T, D]


class GLU(Branch):
    """down(drop(combine(gate(x), up(x)))); by default act(gate) · up (Shazeer 2020). x [B, T, D] -> [B, T, D].

    combine: gate, up [B, T, hidden] -> [B, T, hidden], in place of the product (and of act).
    """

    def __init__(
        self, width: int, hidden: int, *, act: str = "silu", bias: bool = False,
        combine: Callable[[Tensor, Tensor], Tensor] | None = None, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        squash = activation(act)
        self.combine = combine or (lambda gate, up: squash(gate) * up)
        self.gate, self.up = Linear(width, hidden, bias=bias), Linear(width, hidden, bias=bias)
        self.down = Linear(hidden, width, bias=bias, residual=True)
        self.hidden, self.drop = Tap(), Dropout(dropout)

    def forward(self, x: Tensor, ctx: Context, slot: None = None) -> tuple[Tensor, None]:
        hidden = self.hidden(self.combine(self.gate(x), self.up(x)))  # [B, T, hidden]
        return self.down(self.drop(hidden)), None  # [B, T, D]
