"""Functions between two products, by name."""

from __future__ import annotations

from collections.abc import Callable

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


def _gelu_tanh(x: Tensor) -> Tensor:
    """GELU as Hendrycks & Gimpel approximate it (2016): a function of its own, which a copy of a model keeps."""
    return functional.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Activation] = {
    "relu": functional.relu,
    "relu2": _relu_squared,
    "gelu": functional.gelu,
    "gelu_tanh": _gelu_tanh,
    "quick_gelu": _quick_gelu,
    "silu": functional.silu,
    "mish": functional.mish,
    "tanh": torch.tanh,
}
# What its products can end with, in its words. Its relu makes 0 of what is no number, and is not among them.
ONEDNN: dict[Activation | None, tuple[str, list[float], str]] = {
    None: ("none", [], ""),
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
