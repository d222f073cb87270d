"""Norms whose statistics are of many places, as older networks of convolutions have them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.nn.convolution import Along


class BatchNorm(Along):
    """(x - mean) / √(var + eps) · weight + bias of each number over all places of all rows (Ioffe & Szegedy 2015).

    In training the statistics are the batch's, of the places that are there, so that its rows hang on one another; the
    running ones, which evaluation takes, follow with a share of 0.1. x [B, T, D] -> [B, T, D].
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, width: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64))

    def reset(self) -> None:
        """Plain normalisation, of what has mean 0 and variance 1."""
        for ones, zeros in ((self.weight, self.bias), (self.running_var, self.running_mean)):
            nn.init.ones_(ones)
            nn.init.zeros_(zeros)
        nn.init.zeros_(self.num_batches_tracked)

    def forward(self, x: Tensor, present: Tensor | None) -> Tensor:
        if not self.training:
            scale = self.weight * (self.running_var + self.eps).rsqrt()
            return x * scale.to(x.dtype) + (self.bias - self.running_mean * scale).to(x.dtype)
        self.num_batches_tracked += 1
        flat = x.flatten(0, 1) if present is None else x[present]  # [N, D]
        how = self.running_mean, self.running_var, self.weight, self.bias
        made = functional.batch_norm(flat.float(), *how, training=True, momentum=0.1, eps=self.eps).to(x.dtype)
        return made.view_as(x) if present is None else torch.zeros_like(x).index_put((present,), made)


class RowNorm(Along):
    """(x - mean) / √(var + eps) · weight + bias of each number over the places of its row (GroupNorm of as many groups
    as there are numbers, Wu & He 2018). x [B, T, F·D] -> [B, T, F·D]: of each place's F bands of D numbers, over which
    the mean is taken too."""

    def __init__(self, width: int, *, bands: int = 1, eps: float = 1e-5) -> None:
        super().__init__()
        self.bands, self.eps = bands, eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def reset(self) -> None:
        """Plain normalisation."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, present: Tensor | None) -> Tensor:
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        bands = wide.unflatten(-1, (self.bands, -1))  # [B, T, F, D]
        if present is None:
            variance, mean = torch.var_mean(bands, dim=(1, 2), keepdim=True, correction=0)  # [B, 1, 1, D]
        else:
            count = present.sum(dim=1).clamp(min=1)[:, None] * self.bands
            share = (present / count)[..., None, None]  # [B, T, 1, 1]
            mean = (bands * share).sum(dim=(1, 2), keepdim=True)  # [B, 1, 1, D]
            variance = ((bands - mean).square() * share).sum(dim=(1, 2), keepdim=True)
        made = (bands - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias
        return made.flatten(2).to(x.dtype)  # [B, T, F·D]
