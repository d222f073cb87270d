"""Feed-forward branches of which each token takes a few (Shazeer et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from weft.nn.branch import Branch
from weft.nn.context import Context
from weft.nn.linear import Linear
from weft.nn.tap import Tap


class Experts(Branch):
    """Σ over the `top` best-scored experts of softmax(their scores) · expert(x). x [B, T, D] -> [B, T, D].

    The softmax is over the chosen alone, which is that over all of them, divided by what the chosen have of it (Jiang
    et al. 2024, §2.1). Each expert computes the tokens that chose it, and no others; in a compiled graph, whose shapes
    cannot depend on numbers, it computes all of them. bias: the router has one.

    Auxiliary term "balance" [2, top + 1, E], of tokens that are there, to be summed over layers and made a loss by
    `balance`: how often each expert came first, second, …, its summed probability; and how many tokens there were.
    """

    def __init__(self, width: int, experts: Sequence[Branch], *, top: int, bias: bool = False) -> None:
        super().__init__()
        if not 1 <= top <= len(experts):
            raise ValueError(f"each token takes {top} of {len(experts)} experts: top is at least 1, at most all")
        self.router = Linear(width, len(experts), bias=bias)
        self.experts, self.top = nn.ModuleList(experts), top
        self.scores, self.chosen = Tap(), Tap()

    def forward(self, x: Tensor, ctx: Context, slot: None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        scores = self.scores(self.router(x))  # [B, T, E]
        best, index = scores.float().topk(self.top, dim=-1)  # [B, T, top]
        weight = self.chosen(best.softmax(dim=-1)).to(x.dtype)  # [B, T, top]
        flat, index, weight = x.flatten(0, 1), index.flatten(0, 1), weight.flatten(0, 1)  # [N, D], [N, top], [N, top]
        y = (self._dense if torch.compiler.is_compiling() else self._sparse)(flat, index, ctx)  # [N, top, D]
        mixed = torch.bmm(weight[:, None], y).view_as(x)  # [N, 1, top] · [N, top, D] -> [B, T, D]
        return mixed, {"balance": self._balance(scores, index, ctx)} if self.training else None

    def _sparse(self, x: Tensor, index: Tensor, ctx: Context) -> Tensor:
        """What each token gets of the experts it chose. x [N, D], index [N, top] -> [N, top, D]."""
        order = index.flatten().argsort(stable=True)  # [N·top]: who chose, by expert
        counts = [len(part) for part in order.tensor_split(len(self.experts))]  # as if all were chosen alike
        if not isinstance(index, FakeTensor):  # a dry run has no numbers
            counts = index.flatten().bincount(minlength=len(self.experts)).tolist()
        # a row for each choice: gathering one twice adds its gradients in the threads' order, never the same twice
        parts = x[:, None].expand(-1, self.top, -1).flatten(0, 1)[order].split(counts)  # [n, D] each
        outs = [expert(part[None], ctx)[0][0] for expert, part in zip(self.experts, parts, strict=True)]
        return torch.cat(outs)[order.argsort()].unflatten(0, index.shape)  # [N, top, D]

    def _dense(self, x: Tensor, index: Tensor, ctx: Context) -> Tensor:
        """`_sparse`, by every expert for every token: a compiled graph's shapes know no numbers. Holds [N, E, D]."""
        every = torch.stack([expert(x[None], ctx)[0][0] for expert in self.experts], dim=1)  # [N, E, D]
        return every.gather(1, index[..., None].expand(*index.shape, x.shape[-1]))  # [N, top, D]

    def _balance(self, scores: Tensor, index: Tensor, ctx: Context) -> Tensor:
        """See the class. scores [B, T, E], index [N, top] -> [2, top + 1, E]."""
        experts = scores.shape[-1]
        real = torch.ones_like(scores[..., 0]) if ctx.here.segments is None else (ctx.here.segments != 0).to(scores)
        real = real.expand(scores.shape[:2]).flatten().float()  # [N]
        chosen = nn.functional.one_hot(index, experts) * real[:, None, None]  # [N, top, E]
        likely = scores.flatten(0, 1).float().softmax(dim=-1) * real[:, None]  # [N, E]
        counts = torch.cat((chosen.sum(dim=0), likely.sum(dim=0)[None]))  # [top + 1, E]
        return torch.stack((counts, real.sum().expand_as(counts)))  # [2, top + 1, E]


def balance(term: Tensor) -> Tensor:
    """E · Σ over ranks and experts of (share of tokens that chose it) · (mean probability): 0-dim, `top` at best
    (Fedus et al. 2021, eq. 4, as published for Mixtral). term: the sum of what `Experts` returned, over all layers."""
    counts, tokens = term
    rates = counts / tokens.clamp(min=1)
    return counts.shape[-1] * (rates[:-1].detach() * rates[-1]).sum()
