"""The projection every part is made of, with a slot for adapters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b. x [.., in], weight [out, in] -> [.., out]. In fp32 on a processor, where no gradient is wanted, by
    oneDNN: it adds the bias as it goes, and few rows cost it half of what they cost torch's usual library."""
    plain = x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu" and x.numel() > 0
    if (
        not plain
        or torch.is_grad_enabled()
        or torch.compiler.is_compiling()
        or not torch.backends.mkldnn.is_available()
    ):
        return functional.linear(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


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
