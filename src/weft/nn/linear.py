"""The projection every part is made of, with a slot for adapters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

FEW = range(2, 65)  # rows of which oneDNN makes products sooner than torch's usual library (docs/decisions.md)
WIDE, SLICE = 8192, 2048  # from so many features on, so many at a time


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b. x [.., in], weight [out, in] -> [.., out]. In fp32 on a processor, without gradient or autocast, few
    rows go to oneDNN, and more of them against a vocabulary are made a slice of the features at a time."""
    plain = x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu" and x.numel() > 0
    if not plain or torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return functional.linear(x, weight, bias)
    rows, wide = x.numel() // x.shape[-1], len(weight) >= WIDE
    if (rows in FEW or (wide and rows == 1)) and torch.backends.mkldnn.is_available():
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return _sliced(x, weight, bias) if wide and rows > 1 else functional.linear(x, weight, bias)


def _sliced(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`product`, each slice of the features written where it belongs."""
    out, flat = x.new_empty((*x.shape[:-1], len(weight))), x.flatten(0, -2)  # [.., out], [N, in]
    added = x.new_empty(len(weight)) if bias is None else bias  # [out]; not read where beta is 0
    for y, part, add in zip(out.flatten(0, -2).split(SLICE, 1), weight.split(SLICE), added.split(SLICE), strict=True):
        torch.addmm(add, flat, part.t(), beta=bias is not None, out=y)
    return out


class Linear(nn.Module):
    """y = x Wᵀ + b, then each adapter in turn: (x, y, linear) -> y. x [.., in] -> [.., out]; weight [out, in].
    Adapters are children beside the weight, so that base names never change.

    residual: this projection writes into the residual stream (some initialisations scale those by depth).
    """

    def __init__(self, width_in: int, width_out: int, *, bias: bool = True, residual: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width_out, width_in))
        self.bias = nn.Parameter(torch.empty(width_out)) if bias else None
        self.residual = residual
        self.adapters = nn.ModuleDict()
        self.reset()

    @property
    def width_in(self) -> int:
        return self.weight.shape[1]

    @property
    def width_out(self) -> int:
        return self.weight.shape[0]

    def reset(self) -> None:
        """Fan-in uniform, as torch does; families overwrite it with their own initialisation."""
        bound = self.width_in**-0.5
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        y = product(x, self.weight, self.bias)  # [.., out]
        for adapter in self.adapters.values():
            y = adapter(x, y, self)
        return y

    def extra_repr(self) -> str:
        return f"{self.width_in} -> {self.width_out}{'' if self.bias is None else ' + bias'}"
