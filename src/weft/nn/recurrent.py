"""Recurrent parts: what reads a row in its order, one state after another. Where nothing is (segment 0) states stand
still, so that padding, on whichever side, changes no row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weft.nn.branch import Auxiliary, Branch, Slots
from weft.nn.context import Context
from weft.nn.layout import Layout
from weft.nn.linear import Linear
from weft.nn.tap import Tap


class GRU(nn.Module):
    """Gated recurrent unit: s' = (1 - z) ∘ tanh(n(x) + r ∘ n(s)) + z ∘ s, gates r (reset) and z (update), in
    (0, 1), from x and s too.

    As torch and cuDNN have it: r meets what is made of s, bias included. Cho et al. (2014) let it meet s itself.
    from_input, from_state: the products of x [.., W] and s [.., D] for r, z and n, laid one after another, [.., 3·D].
    """

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.from_input, self.from_state = Linear(width_in, 3 * width), Linear(width, 3 * width)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, T, W] -> the state after each place, [B, T, D], the first one following upon zeros."""
        state = x.new_zeros(x.shape[0], self.width)
        if not (self.from_input.adapters or self.from_state.adapters or torch.is_autocast_enabled(x.device.type)):
            weights = [self.from_input.weight, self.from_state.weight, self.from_input.bias, self.from_state.bias]
            return torch.gru(x, state[None], weights, True, 1, 0.0, self.training, False, True)[0]  # type: ignore[call-overload]
        states = []
        for from_input in self.from_input(x).unbind(1):  # [B, 3·D]
            state = self.step(from_input, state)
            states.append(state)
        return torch.stack(states, dim=1)  # [B, T, D]

    def step(self, from_input: Tensor, state: Tensor) -> Tensor:
        """The next state [B, D] of a state and the products of x, [B, 3·D], which a loop has made for all its steps."""
        from_state, gates = self.from_state(state), 2 * self.width
        reset, update = (from_input[:, :gates] + from_state[:, :gates]).sigmoid().chunk(2, dim=-1)  # [B, D]
        new = (from_input[:, gates:] + reset * from_state[:, gates:]).tanh()
        return new + update * (state - new)


class BothWays(Branch):
    """A layer that reads its row with one GRU from each end: x [B, S, W] -> [B, S, 2·D], the forward state first; zeros
    where nothing is."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.ahead, self.back = GRU(width_in, width), GRU(width_in, width)

    def forward(self, x: Tensor, ctx: Context, slot: Slots = None) -> tuple[Tensor, Auxiliary]:
        present = tokens(ctx.here, x.shape[0])
        if present is None:
            return torch.cat((self.ahead(x), self.back(x.flip(1)).flip(1)), dim=-1), None  # [B, S, 2·D]
        back = self._skipping_gaps(self.back, x.flip(1), present.flip(1)).flip(1)
        return torch.cat((self._skipping_gaps(self.ahead, x, present), back), dim=-1), None

    @staticmethod
    def _skipping_gaps(gru: GRU, x: Tensor, present: Tensor) -> Tensor:
        """The states at the tokens of each row, read as if no gaps lay between them: as if state stood still there."""
        order = (~present).long().argsort(dim=1, stable=True)[..., None]  # [B, S, 1]: tokens first
        states = gru(x.gather(1, order.expand(-1, -1, x.shape[-1])))  # [B, S, D]
        back = order.argsort(dim=1).expand(-1, -1, states.shape[-1])  # [B, S, D]: where each place's state is now
        return states.gather(1, back).masked_fill(~present[..., None], 0.0)


class Alignment(nn.Module):
    """Additive attention (Bahdanau et al. 2015, A.1.2): softmax over a memory's places h of v · tanh(q(s) + k(h)).

    What is mixed with these weights is the memory itself. field: its name in the stack; probs: hears each step's
    weights, [B, 1, 1, S].
    """

    kv_heads = 1

    def __init__(self, width: int, memory_width: int, hidden: int, *, field: str = "memory") -> None:
        super().__init__()
        self.field, self.head_width, self.value_width = field, hidden, memory_width
        self.q, self.k = Linear(width, hidden, bias=False), Linear(memory_width, hidden)
        self.v = nn.Parameter(torch.empty(hidden))
        self.probs = Tap()
        self.reset()

    def reset(self) -> None:
        nn.init.normal_(self.v, std=self.v.shape[0] ** -0.5)

    def forward(self, state: Tensor, keys: Tensor, seen: Tensor | None) -> Tensor:
        """state [B, D], keys [M, S, A], each of which B/M neighbours read; seen: bool [M, n, S] (None: all of it).
        -> weights [M, n, S], zeros where nothing is seen."""
        q = self.q(state).view(keys.shape[0], -1, 1, keys.shape[-1])  # [M, n, 1, A]
        scores = (q + keys[:, None]).tanh() @ self.v.to(keys.dtype)  # [M, n, S]
        if seen is not None:
            scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=-1) if seen is None else scores.softmax(dim=-1) * seen
        if not self.probs.active:
            return weights
        return self.probs(weights.flatten(0, 1)[:, None, None]).view_as(weights)


def tokens(here: Layout, rows: int) -> Tensor | None:
    """Where the tokens of each row are, bool [B, T]; None: everywhere. ValueError for several documents in a row, which
    a state cannot keep apart."""
    if here.segments is None:
        return None
    if not torch.compiler.is_compiling() and bool(((here.segments != 0) & (here.segments != 1)).any()):
        raise ValueError("a recurrent layer reads one document a row, and these rows hold several: give each its own")
    return (here.segments != 0).expand(rows, -1)
