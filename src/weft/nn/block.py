"""A residual stream and its branches: the only place where norms, scales and skips meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from weft.nn.branch import Auxiliary, Branch, Slots, join
from weft.nn.context import Context
from weft.nn.dropout import Dropout


class Residual(nn.Module):
    """after(skip · x + scale · drop(post(branch(pre(x))))). x [B, T, D] -> [B, T, D], and the branch's auxiliary terms.

    pre = norm: pre-LN; after = norm: post-LN (2017, BERT); post = norm: sandwich (Gemma); scale: a number (macaron
    halves) or a module (LayerScale, gates); drop: the rate at which numbers of the branch are dropped in training.
    """

    def __init__(
        self, branch: Branch, *, pre: nn.Module | None = None, post: nn.Module | None = None,
        after: nn.Module | None = None, scale: float | nn.Module = 1.0, skip: float = 1.0, drop: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.pre, self.branch = pre or nn.Identity(), branch
        self.post, self.after = post or nn.Identity(), after or nn.Identity()
        self.scale, self.skip, self.drop = scale, skip, Dropout(drop)

    def forward(self, x: Tensor, ctx: Context, slot: Slots = None) -> tuple[Tensor, Auxiliary]:
        y, auxiliary = self.branch(self.pre(x), ctx, slot)
        y = self.drop(self.post(y))
        if isinstance(self.scale, nn.Module):
            y = self.scale(y)
        elif self.scale != 1.0:
            y = y * self.scale
        return self.after((x if self.skip == 1.0 else x * self.skip) + y), auxiliary


class Pre(Branch):
    """branch(norm(x)): a branch with a norm of its own, for parallel branches."""

    def __init__(self, norm: nn.Module, branch: Branch) -> None:
        super().__init__()
        self.norm, self.branch = norm, branch

    def forward(self, x: Tensor, ctx: Context, slot: Slots = None) -> tuple[Tensor, Auxiliary]:
        return self.branch(self.norm(x), ctx, slot)

    def slots(self, make: Callable[[Any], Any]) -> Slots:
        return self.branch.slots(make)

    def fill(self, slot: Slots, ctx: Context) -> None:
        self.branch.fill(slot, ctx)


class Sum(Branch):
    """Parallel branches of one stream, added (GPT-J, NeoX)."""

    def __init__(self, **branches: Branch) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(branches)

    def forward(self, x: Tensor, ctx: Context, slot: Slots = None) -> tuple[Tensor, Auxiliary]:
        total, auxiliary = None, None
        for name, branch in self.branches.items():
            y, extra = branch(x, ctx, None if slot is None else slot[name])
            total, auxiliary = y if total is None else total + y, join(auxiliary, extra)
        assert total is not None
        return total, auxiliary

    def slots(self, make: Callable[[Any], Any]) -> Slots:
        return {name: branch.slots(make) for name, branch in self.branches.items()}  # type: ignore[operator]

    def fill(self, slot: Slots, ctx: Context) -> None:
        for name, branch in self.branches.items():
            branch.fill(slot[name], ctx)  # type: ignore[operator]


class Block(nn.Module):
    """Residual branches in the order in which they are named, and a norm at the end where a family has one.
    x [B, T, D] -> [B, T, D], and auxiliary terms summed by name.

    Block(attn=.., mlp=..), Block(attn=.., cross=.., mlp=..), Block(ff1=.., attn=.., conv=.., ff2=.., norm=..).
    """

    def __init__(self, *, norm: nn.Module | None = None, **branches: Residual) -> None:
        super().__init__()
        self.names = tuple(branches)
        for name, branch in branches.items():
            self.add_module(name, branch)
        self.norm = norm or nn.Identity()

    def forward(self, x: Tensor, ctx: Context, slots: dict[str, Slots] | None = None) -> tuple[Tensor, Auxiliary]:
        auxiliary: Auxiliary = None
        for name in self.names:
            x, extra = getattr(self, name)(x, ctx, None if slots is None else slots[name])
            auxiliary = join(auxiliary, extra)
        return self.norm(x), auxiliary

    def slots(self, make: Callable[[Any], Any]) -> dict[str, Slots]:
        """Cache places by branch."""
        return {name: getattr(self, name).branch.slots(make) for name in self.names}

    def fill(self, slots: dict[str, Slots], ctx: Context) -> None:
        """See `Branch.fill`."""
        for name in self.names:
            getattr(self, name).branch.fill(slots[name], ctx)
