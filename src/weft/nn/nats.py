"""-log p of labels under a linear head, without ever holding the scores of all places at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from weft.nn.linear import product

PRODUCT = 2**24  # scores held at once, in x's precision, where that makes at least ROWS rows
ROWS = 1024  # rows of a product at the least: the weight's gradient is read and written once for each
PIECE = 2**20  # scores held in fp32 at once: what fits into a processor's cache


def linear_nats(x: Tensor, weight: Tensor, labels: Tensor, bias: Tensor | None = None, *, ignored: int) -> Tensor:
    """Σ -log softmax(x Wᵀ + b)[label], fp32, over labels that are not `ignored`. x [N, D], W [V, D], b [V], labels [N].

    Scores are computed in x's precision (autocast's, where it is on), their logarithms in fp32. Gradients are taken
    piece by piece in the same pass, so the backward pass only scales them. Under `torch.compile` plain cross-entropy is
    traced instead, and what is held is the compiler's to decide. A label that is no token is an error.
    """
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    if torch.compiler.is_compiling():
        x = x.masked_fill((labels == ignored)[:, None], 0.0)  # or a place that is no number spoils all gradients
        scores = functional.linear(x, weight, bias).float()  # [N, V]
        return functional.cross_entropy(scores, labels, ignore_index=ignored, reduction="sum")
    result: Tensor = _LinearNats.apply(x, weight, bias, labels, ignored, torch.is_grad_enabled())  # type: ignore[assignment]
    return result


class _LinearNats(torch.autograd.Function):
    """Gradients of the scores are softmax - one-hot, known as soon as the loss is; the backward pass scales them."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, ignored: int, grads: bool
    ) -> Tensor:
        wants_x, wants_weight, wants_bias = (grads and wanted for wanted in ctx.needs_input_grad[:3])
        grad_x = torch.empty_like(x) if wants_x else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        grad_bias = torch.zeros(weight.shape[0], dtype=torch.float32, device=x.device) if wants_bias else None
        rows = max(ROWS, PRODUCT // weight.shape[0])
        total = torch.zeros((), dtype=torch.float32, device=x.device)
        for start in range(0, x.shape[0], rows):
            label = labels[start : start + rows, None]  # [n, 1]
            counted = label != ignored
            # what is not counted is left out where it is small, and filled: what is no number stays so times 0
            part = x[start : start + rows].masked_fill(~counted, 0.0)  # [n, D]
            scores = product(part, weight, bias)  # [n, V]
            wanted = wants_x or wants_weight or wants_bias
            total += _differentiate(scores, label.masked_fill(~counted, 0), counted, wanted)
            if grad_x is not None:
                piece = grad_x[start : start + rows]  # [n, D]
                torch.mm(scores, weight, out=piece).mul_(counted)
            if grad_weight is not None:
                grad_weight += scores.T @ part
            if grad_bias is not None:
                grad_bias += (counted.T.to(scores.dtype) @ scores)[0]  # [V]
        ctx.save_for_backward(grad_x, grad_weight, grad_bias)
        ctx.dtype = weight.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (grad,) = grad_outputs
        grad_x, grad_weight, grad_bias = ctx.saved_tensors
        of_x = None if grad_x is None else grad_x * grad.to(grad_x.dtype)
        of_rest = (None if each is None else (each * grad).to(ctx.dtype) for each in (grad_weight, grad_bias))
        return of_x, *of_rest, None, None, None


def _differentiate(scores: Tensor, target: Tensor, counted: Tensor, wanted: bool) -> Tensor:
    """Σ -log softmax(scores)[target] over what is counted. scores [n, V], target and counted [n, 1].

    Where it is `wanted`, `scores` become their gradient, p - 1 at the target, in every row: the caller leaves out those
    that are not counted. A target that is no token is gather's error.
    """
    rows = max(16, PIECE // scores.shape[1])
    total = torch.zeros((), dtype=torch.float32, device=scores.device)
    for start in range(0, scores.shape[0], rows):
        piece, label = scores[start : start + rows], target[start : start + rows]  # [m, V], [m, 1]
        logs = piece.log_softmax(dim=-1, dtype=torch.float32)  # [m, V]
        total -= (logs.gather(1, label) * counted[start : start + rows]).sum()
        if wanted:
            probs = logs.exp_()  # [m, V]
            piece.copy_(probs.scatter_add_(1, label, torch.full_like(label, -1.0, dtype=torch.float32)))
    return total
