"""-log p of labels under a linear head, without ever holding the scores of all places at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

PIECE = 2**21  # scores held at once: what fits into a processor's cache


def linear_nats(x: Tensor, weight: Tensor, labels: Tensor, *, ignored: int) -> Tensor:
    """Σ -log softmax(x Wᵀ)[label], fp32, over labels that are not `ignored`. x [N, D], weight [V, D], labels [N].

    Scores are computed in x's precision (autocast's, where it is on), their logarithms in fp32. Gradients are taken
    piece by piece in the same pass, so the backward pass only scales them.
    """
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
    if torch.compiler.is_compiling():
        scores = functional.linear(x, weight).float()  # [N, V]
        return functional.cross_entropy(scores, labels, ignore_index=ignored, reduction="sum")
    result: Tensor = _LinearNats.apply(x, weight, labels, ignored, torch.is_grad_enabled())  # type: ignore[assignment]
    return result


class _LinearNats(torch.autograd.Function):
    """Gradients of the scores are softmax - one-hot, known as soon as the loss is; the backward pass scales them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, labels: Tensor, ignored: int, grads: bool) -> Tensor:
        wants_x, wants_weight = (grads and wanted for wanted in ctx.needs_input_grad[:2])
        grad_x = torch.empty_like(x) if wants_x else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        rows = max(16, PIECE // weight.shape[0])  # fewer would starve the matrix product
        total = torch.zeros((), dtype=torch.float32, device=x.device)
        for start in range(0, x.shape[0], rows):
            part, label = x[start : start + rows], labels[start : start + rows, None]  # [n, D], [n, 1]
            counted = label != ignored
            target = label.masked_fill(~counted, 0)  # any other label that is no token is gather's error
            scores = functional.linear(part, weight).float()  # [n, V]
            lse = scores.logsumexp(dim=-1, keepdim=True)  # [n, 1]
            total += ((lse - scores.gather(1, target)) * counted).sum()
            if not (wants_x or wants_weight):
                continue
            grad = scores.sub_(lse).exp_()  # probabilities
            grad.scatter_add_(1, target, torch.full_like(lse, -1.0))
            grad = grad.mul_(counted).to(x.dtype)  # [n, V]
            if grad_x is not None:
                torch.mm(grad, weight, out=grad_x[start : start + rows])
            if grad_weight is not None:
                grad_weight += grad.T @ part
        ctx.save_for_backward(grad_x, grad_weight)
        ctx.dtype = weight.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (grad,) = grad_outputs
        grad_x, grad_weight = ctx.saved_tensors
        return (
            None if grad_x is None else grad_x * grad.to(grad_x.dtype),
            None if grad_weight is None else (grad_weight * grad).to(ctx.dtype),
            None,
            None,
            None,
        )
