"""Normalisations over the width."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def _check_eps(eps: float) -> float:
    if not (eps >= 0 and math.isfinite(eps)):
        raise ValueError(f"eps = {eps}, but it is added to a variance: it must be finite and at least 0")
    return eps


class LayerNorm(nn.Module):
    """(x - mean) / √(var + eps) · weight + bias over the last axis (Ba et al. 2016). Statistics are taken in fp32."""

    def __init__(self, width: int, *, eps: float = 1e-5, bias: bool = True) -> None:
        super().__init__()
        self.eps = _check_eps(eps)
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None

    def reset(self) -> None:
        """Plain normalisation."""
        nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return functional.layer_norm(x, self.weight.shape, self.weight.to(x.dtype), bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps:g}"


class RMSNorm(nn.Module):
    """x / √(mean(x²) + eps) · (offset + weight) over the last axis (Zhang & Sennrich 2019), statistics in fp32.

    offset: 0; 1 where weights are kept as what is added to 1 (Gemma).

    Uncompiled, forward and backward are written out: torch has no fused kernel for it on a CPU, and its composite one
    takes 2.6 times as long (docs/decisions.md). A compiler does better from the plain form.
    """

    def __init__(self, width: int, *, eps: float = 1e-6, offset: float = 0.0) -> None:
        super().__init__()
        self.eps, self.offset = _check_eps(eps), offset
        self.weight = nn.Parameter(torch.full((width,), 1.0 - offset))

    def reset(self) -> None:
        """Plain normalisation."""
        nn.init.constant_(self.weight, 1.0 - self.offset)

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight + self.offset if self.offset else self.weight).to(x.dtype)
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return functional.rms_norm(x, self.weight.shape, weight, self.eps)
        result: Tensor = _RMSNorm.apply(x, weight, self.eps)  # type: ignore[assignment]
        return result

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps:g}"


class Joined(nn.Module):
    """A norm of all heads' numbers at once, in place of one for each head (OLMo 2). x [B, T, H, K] -> [B, T, H, K]."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.flatten(-2)).unflatten(-1, x.shape[-2:])  # [B, T, H, K]


class _RMSNorm(torch.autograd.Function):
    """y = x · r, r = 1 / √(mean(x²) + eps), out = y · weight; dx = r · (g - y · mean(g · y)), g = d out · weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)  # [B, T, 1]
        r = size.square_().div_(x.shape[-1]).add_(eps).rsqrt_().to(x.dtype)
        y = x * r
        ctx.save_for_backward(y, r, weight)
        return y * weight

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor | None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (grad,) = grad_outputs
        y, r, weight = ctx.saved_tensors
        wide = torch.promote_types(y.dtype, torch.float32)
        grad_weight = None
        if ctx.needs_input_grad[1]:
            grad_weight = (grad * y).flatten(0, -2).sum(dim=0, dtype=wide).to(weight.dtype)  # [D]
        g = grad * weight
        along = (g * y).mean(dim=-1, keepdim=True)  # [B, T, 1]
        return torch.addcmul(g, y, along, value=-1).mul_(r), grad_weight, None
