"""Operations, counted as they happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

Formula = Callable[..., int]


def attention(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> int:
    """Operations of a fused kernel on q [B, H, T, K], k [B, G, S, K], v [B, G, S, Kv]: two products, as if every
    query saw every key."""
    return 2 * q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2] * (q.shape[3] + v.shape[3])


def attention_backward(grad: Tensor, q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> int:
    """Operations of its backward pass: the scores anew, and a product for each of weights, v, q and k."""
    return 2 * q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2] * (3 * q.shape[3] + 2 * v.shape[3])


def linear(x: Tensor, *more: Any, out_val: Tensor, **_: Any) -> int:
    """Operations of oneDNN's product of x [.., in] and a weight [out, in]."""
    return 2 * x.numel() * out_val.shape[-1]


def formulas() -> dict[Any, Formula]:
    """Operations by kernel. torch's own leave out oneDNN's product, the product added in place and the CPU's fused
    attention, and refuse fewer key heads than heads."""
    kinds = ("flash_attention", "efficient_attention", "cudnn_attention", "flash_attention_for_cpu")
    names = [f"_scaled_dot_product_{kind}" for kind in kinds]
    forward: dict[Any, Formula] = {getattr(torch.ops.aten, name): attention for name in names}
    backward = {getattr(torch.ops.aten, f"{name}_backward"): attention_backward for name in names}
    forward[torch.ops.aten.baddbmm_] = flop_registry[torch.ops.aten.baddbmm]
    if torch.backends.mkldnn.is_available():
        forward[torch.ops.mkldnn._linear_pointwise] = linear
    return {**flop_registry, **forward, **backward}


class Counter(TorchDispatchMode):
    """Counts the operations (a multiplication and an addition are two) of the matrix products and convolutions that run
    inside it, and leaves alone what they compute.

    torch's FlopCounterMode has the same formulas, and takes composite kernels apart before it runs them: SiLU's
    gradient then has other bits, and a resumed run is no longer the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self.formulas = formulas()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = self.formulas.get(func.overloadpacket) if isinstance(func, OpOverload) else None
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=out)
        return out
