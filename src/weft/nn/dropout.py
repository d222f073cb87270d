"""Dropout (Srivastava et al. 2014), drawn four places at a time where torch draws them one by one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 65536  # a place is dropped where 16 random bits are below a level: shares are of 1/65536


def drop(x: Tensor, rate: float) -> Tensor:
    """x with each place 0 with probability `rate`, the others times 1 / (1 - rate). On a processor the rate is rounded
    to 1/65536 and four places share a draw of 64 bits: one by one they took a sixth of a small model's step."""
    level = round(rate * _LEVELS)
    if x.device.type != "cpu" or torch.compiler.is_compiling() or not 0 < level < _LEVELS:
        return functional.dropout(x, rate) if rate else x
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= level - _LEVELS // 2
    return x * kept.to(x.dtype).mul_(_LEVELS / (_LEVELS - level))


class Dropout(nn.Module):
    """`drop` in training mode, the identity otherwise."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return drop(x, self.rate) if self.training else x
