"""A model with what only its training needs around it: heads, a generator, a teacher."""

from __future__ import annotations

from typing import Any

from torch import nn


class Wrapped(nn.Module):
    """What is trained where an objective needs more than the model. model: what is kept of it as the result."""

    model: Any  # a bare module; typed by subclasses' use

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model


def bare(module: nn.Module) -> nn.Module:
    """The model itself, without what was put around it for training."""
    return module.model if isinstance(module, Wrapped) else module
