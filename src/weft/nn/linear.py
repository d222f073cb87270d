"""The projection every part is made of, with a slot for adapters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd import forward_ad
from torch.nn import functional

from weft.nn.activation import ONEDNN, Activation

# Where oneDNN makes fp32 products the sooner, as measured on AMD (docs/decisions.md): all of them, or few rows.
EVERY, FEW = torch.backends.cpu.get_cpu_capability().startswith("AVX512"), range(2, 65)
WIDE, SLICE = 8192, 2048  # elsewhere, from so many features on, so many at a time


def product(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, act: Activation | None = None, times: Tensor | None = None
) -> Tensor:
    """act(x Wᵀ + b) · times. x [.., in], weight [out, in], times [.., out] -> [.., out].

    On a processor, without gradient, autocast, compiler or transform, oneDNN makes it where it is the faster, and with
    it one of the two that follow: what it holds is then rounded once.
    """
    free = x.dtype == weight.dtype and x.device.type == "cpu" and x.numel() > 0 and not torch.is_grad_enabled()
    dry = torch.compiler.is_compiling() or isinstance(x, FakeTensor)
    free = free and not dry and not torch.is_autocast_enabled("cpu") and not transformed()
    rows, wide = x.numel() // max(1, x.shape[-1]), len(weight) >= WIDE
    if free and _onednn(x.dtype, few=rows in FEW or (wide and rows == 1)):
        shape = (*x.shape[:-1], len(weight))
        if act is None and times is not None and times.dtype == x.dtype and times.shape == shape:
            return torch.ops.mkldnn._linear_pointwise.binary(x, times, weight, bias, "mul")
        y = torch.ops.mkldnn._linear_pointwise(x, weight, bias, *ONEDNN.get(act, ONEDNN[None]))
        act = None if act in ONEDNN else act
    else:
        slices = free and wide and rows > 1 and x.dtype == torch.float32
        y = (_sliced if slices else functional.linear)(x, weight, bias)
    return _finished(y, act, times)


def transformed() -> bool:
    """Whether torch.func or forward-mode derivatives follow what is computed, which they lose at what oneDNN makes,
    and at a backward pass that is written out."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def _onednn(dtype: torch.dtype, *, few: bool) -> bool:
    """Whether oneDNN has products of this type; in fp32, whether it makes them sooner. few: of few rows."""
    if not torch.backends.mkldnn.is_available():
        return False
    bf16 = dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return bf16 or (dtype == torch.float32 and (EVERY or few))


def _finished(y: Tensor, act: Activation | None, times: Tensor | None) -> Tensor:
    """act(y) · times."""
    y = y if act is None else act(y)
    return y if times is None else y * times


def _sliced(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`product`, each slice of the features written where it belongs."""
    out, flat = x.new_empty((*x.shape[:-1], len(weight))), x.flatten(0, -2)  # [.., out], [N, in]
    added = x.new_empty(len(weight)) if bias is None else bias  # [out]; not read where beta is 0
    for y, part, add in zip(out.flatten(0, -2).split(SLICE, 1), weight.split(SLICE), added.split(SLICE), strict=True):
        torch.addmm(add, flat, part.t(), beta=bias is not None, out=y)
    return out


class Linear(nn.Module):
    """y = x Wᵀ + b, then each adapter in turn: (x, y, linear) -> y; last act(y) · times, where they are given.
    x [.., in] -> [.., out]; weight [out, in]. Adapters are children beside the weight, so that base names never change.

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

    def forward(self, x: Tensor, act: Activation | None = None, times: Tensor | None = None) -> Tensor:
        if not self.adapters:
            return product(x, self.weight, self.bias, act, times)  # [.., out]
        y = product(x, self.weight, self.bias)  # [.., out]
        for adapter in self.adapters.values():
            y = adapter(x, y, self)
        return _finished(y, act, times)

    def extra_repr(self) -> str:
        return f"{self.width_in} -> {self.width_out}{'' if self.bias is None else ' + bias'}"
