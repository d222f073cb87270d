"""A model with what only its training needs around it: heads, a generator, a teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

Load = Callable[[str], nn.Module]  # the bare module of a saved model, by its folder


class Wrapped(nn.Module):
    """What is trained where an objective needs more than the model. model: what is kept of it as the result; it may be
    wrapped itself."""

    model: Any  # a bare module, or a Wrapped; typed by subclasses' use

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def kept(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The model's tensors, by their own names, of this module's."""
        inner = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
        return self.model.kept(inner) if isinstance(self.model, Wrapped) else inner


def bare(module: nn.Module) -> nn.Module:
    """The model itself, without what was put around it for training."""
    while isinstance(module, Wrapped):
        module = module.model
    return module


def kept(module: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of a trained module's tensors by name, those of the model, by its own names."""
    return module.kept(tensors) if isinstance(module, Wrapped) else tensors
