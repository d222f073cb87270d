"""How far patches that were painted lie from those that were hidden (He et al. 2022, MAE)."""

from __future__ import annotations

import torch
from torch import Tensor

EPS = 1e-6  # added to a patch's variance, as in the authors' code


def standardised(patches: Tensor) -> Tensor:
    """Each patch [.., C] less its mean, in its standard deviations (of C - 1), fp32."""
    patches = patches.float()
    mean, variance = patches.mean(dim=-1, keepdim=True), patches.var(dim=-1, keepdim=True)  # [.., 1]
    return (patches - mean) / (variance + EPS).sqrt()


def hidden_squares(painted: Tensor, patches: Tensor, seen: Tensor, *, normalised: bool) -> Tensor:
    """Σ over hidden patches of the mean squared difference of their numbers, fp32; P - V of them in each row.

    painted, patches [B, P, C]; seen: places of the patches that were shown, int64 [B, V]. normalised: what is painted
    are standardised patches (§4.1; Table 1d).
    """
    wanted = standardised(patches) if normalised else patches.float()
    apart = (painted.float() - wanted).square().mean(dim=-1)  # [B, P]
    return apart.scatter(1, seen.expand(len(apart), -1), torch.zeros_like(apart)).sum()
