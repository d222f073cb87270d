"""The position-wise branch: one hidden layer, plain or gated."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from weft.nn.activation import activation
from weft.nn.branch import Branch
from weft.nn.context import Context
from weft.nn.dropout import Dropout
from weft.nn.linear import Linear
from weft.nn.tap import Tap


class MLP(Branch):
    """down(drop(act(up(x)))). x [B, T, D] -> [B, T, D]."""

    def __init__(self, width: int, hidden: int, *, act: str = "gelu", bias: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.act = activation(act)
        self.up = Linear(width, hidden, bias=bias)
        self.down = Linear(hidden, width, bias=bias, residual=True)
        self.hidden, self.drop = Tap(), Dropout(dropout)

    def forward(self, x: Tensor, ctx: Context, slot: None = None) -> tuple[Tensor, None]:
        hidden = self.hidden(self.up(x, self.act))  # [B, T, hidden]
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
        self.act, self.combine = activation(act), combine
        self.gate, self.up = Linear(width, hidden, bias=bias), Linear(width, hidden, bias=bias)
        self.down = Linear(hidden, width, bias=bias, residual=True)
        self.hidden, self.drop = Tap(), Dropout(dropout)

    def forward(self, x: Tensor, ctx: Context, slot: None = None) -> tuple[Tensor, None]:
        if self.combine is None:
            hidden = self.hidden(self.up(x, times=self.gate(x, self.act)))  # [B, T, hidden]
        else:
            hidden = self.hidden(self.combine(self.gate(x), self.up(x)))  # [B, T, hidden]
        return self.down(self.drop(hidden)), None  # [B, T, D]
