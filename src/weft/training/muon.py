"""Muon: momentum whose update is made orthogonal, for the matrices inside a network."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import Parameter

from weft.training.sharded import share, whole

QUINTIC = (3.4445, -4.7750, 2.0315)  # steep at 0, so five steps bring singular values near 1, not exactly to it
STEPS = 5


def orthogonalise(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Replace the singular values of each matrix by numbers near 1 (0.7 to 1.2). [N, R, C] -> [N, R, C] in `dtype`.

    Newton-Schulz iteration of a quintic, x <- a x + b (x xT) x + c (x xT)^2 x (Jordan et al. 2024, "Muon"). All
    matrices go through each product together.
    """
    a, b, c = QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices  # the square of the shorter side is the cheaper one
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)  # no singular value above 1, where the quintic diverges
    x = x.to(dtype)
    for _ in range(STEPS):
        square = x @ x.mT  # [N, S, S], S the shorter side
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; decoupled weight decay.

    The update is scaled by 0.2 sqrt(max(rows, columns)), the size of AdamW's usual update, so that AdamW's rate and
    decay carry over (Liu et al. 2025, arXiv:2502.16982). A parameter of more than two dimensions (a convolution)
    counts as the matrix [first, all others]. Matrices of one shape are handled together. Where parameters are shares,
    every process gathers the momentum of the whole ones, computes the whole update and keeps its share of that.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        *,
        rate: float,
        weight_decay: float,
        momentum: float = 0.95,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__(parameters, {"lr": rate, "weight_decay": weight_decay, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update of every parameter that has a gradient."""
        if closure is not None:
            raise ValueError("Muon takes no closure: compute the gradients, then call step()")
        for group in self.param_groups:
            same: dict[torch.Size, list[Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    same.setdefault(parameter.flatten(1).shape, []).append(parameter)
            for parameters in same.values():
                self._update(parameters, group["lr"], group["weight_decay"], group["momentum"])

    def _update(self, parameters: list[Parameter], rate: float, decay: float, momentum: float) -> None:
        ahead = whole(torch.stack([self._ahead(parameter, momentum).flatten(1) for parameter in parameters]))  # [N,R,C]
        updates = orthogonalise(ahead, self.dtype)
        scale = 0.2 * max(ahead.shape[-2:]) ** 0.5
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.mul_(1 - rate * decay)
            parameter.add_(share(update.reshape(parameter.shape), parameter), alpha=-rate * scale)

    def _ahead(self, parameter: Parameter, momentum: float) -> Tensor:
        """Nesterov's look-ahead: the gradient blended with the momentum it has just been added to."""
        assert parameter.grad is not None
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        average: Tensor = state["momentum"]
        average.lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(average, momentum)
