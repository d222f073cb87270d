"""-log p of labels under a linear head, without ever holding the scores of all places at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

PIECE = 2**20  # scores held at once: what fits into a processor's cache
LEAST = 256  # rows taken at once, however large the vocabulary: the weight's gradient is added up once for each piece


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
        rows = max(LEAST, PIECE // weight.shape[0])
        total = torch.zeros((), dtype=torch.float32, device=x.device)
        for start in range(0, x.shape[0], rows):
            part, label = x[start : start + rows], labels[start : start + rows, None]  # [n, D], [n, 1]
            counted = label != ignored
            target = label.masked_fill(~counted, 0)  # any other label that is no token is gather's error
            logs = functional.linear(part, weight).log_softmax(dim=-1, dtype=torch.float32)  # [n, V]
            total -= (logs.gather(1, target) * counted).sum()
            if not (wants_x or wants_weight):
                continue
            grad = logs.exp_()  # probabilities
            grad.scatter_add_(1, target, torch.full_like(target, -1.0, dtype=torch.float32))
            grad = grad.to(x.dtype)  # [n, V]; what is not counted is left out below, where tensors are small
            if grad_x is not None:
                piece = grad_x[start : start + rows]  # [n, D]
                torch.mm(grad, weight, out=piece).mul_(counted)
            if grad_weight is not None:
                grad_weight += grad.T @ (part * counted)
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
