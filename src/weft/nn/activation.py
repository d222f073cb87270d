"""Functions between two products, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

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
ONEDNN: dict[Activation | None, tuple[str, list[float], str]] = {  # what its products can end with, in its words
    None: ("none", [], ""),
    ACTIVATIONS["relu"]: ("relu", [], ""),
    ACTIVATIONS["gelu"]: ("gelu", [], "none"),
    ACTIVATIONS["gelu_tanh"]: ("gelu", [], "tanh"),
    ACTIVATIONS["silu"]: ("swish", [], ""),
    ACTIVATIONS["tanh"]: ("tanh", [], ""),
}


def activation(name: str) -> Activation:
    """The activation of this name; ValueError where there is none."""
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}; there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
