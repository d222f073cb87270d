"""A named place in the computation."""

from __future__ import annotations

from torch import Tensor, nn


class Tap(nn.Module):
    """The identity, with a name: forward hooks on it record or edit the tensor that passes.

    Hooks added after `torch.compile` silently do not fire (tried); recording therefore runs the uncompiled module.
    """

    @property
    def active(self) -> bool:
        """True where somebody listens; kernels that never hold the tensor then step aside."""
        forward = self._forward_hooks or self._forward_pre_hooks
        return bool(forward or self._backward_hooks or self._backward_pre_hooks)

    def forward(self, x: Tensor) -> Tensor:
        return x
