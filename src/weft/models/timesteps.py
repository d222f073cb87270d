"""What a decision transformer reads and says: timesteps of three places each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weft.nn import Dropout, Head, LayerNorm, Layout, Linear, StemPosition
from weft.nn.position import LookupTable
from weft.nn.stem import Stem
from weft.nn.tap import Tap
from weft.nn.vectors import VectorHead, check_vectors

RETURN, STATE, ACTION = range(3)  # the places of a timestep, in their order


class Interleave(Stem):
    """drop(norm([return; state; action], each lifted and with its timestep's vector) + shift): vectors
    [B, T, 1 + S + A] -> [B, 3T, D]."""

    def __init__(
        self, sizes: tuple[int, int, int], width: int, *, position: StemPosition, shifts: int, dropout: float
    ) -> None:
        """sizes: numbers of a return, a state and an action. shifts: see `Shift`."""
        super().__init__()
        self.sizes, self.channels, self.width, self.position = sizes, sum(sizes), width, position
        self.weight, self.types = None, None
        self.returns, self.states, self.actions = (Linear(size, width) for size in sizes)
        self.norm, self.shift = LayerNorm(width), Shift(shifts, width)
        self.drop, self.embedded = Dropout(dropout), Tap()

    def lay(self, here: Layout, length: int) -> Layout:
        """[B, T] -> [B, 3T]: the order is that of places, so that a timestep's return, state and action see one another
        in turn; the timesteps, where they are given, are its coords."""
        if here.plain:
            return here
        coords = here.order if here.coords is None else here.coords
        segments, coords, groups = (
            None if field is None else field.repeat_interleave(3, dim=1)
            for field in (here.segments, coords, here.groups)
        )  # [B, 3T]
        return Layout(None, segments, coords, groups, here.prefix)

    def extent(self, length: int) -> int:
        return 3 * length

    def forward(self, tokens: Tensor, here: Layout, types: Tensor | None = None) -> Tensor:
        """here: as `lay` gives it. ValueError for what are no timesteps of this size, or beyond the longest episode."""
        check_vectors(tokens, self.channels, types)
        order = here.numbered(3 * tokens.shape[1], tokens.device).order
        assert order is not None
        times = order[:, ::3] // 3 if here.coords is None else here.coords[:, ::3]  # [B, T]
        if here.segments is not None:
            times = times.masked_fill(here.segments[:, ::3] == 0, 0)  # whatever padding says
        if here.coords is not None:  # else they are counted, from 0 to at most T - 1
            self.check(times)
        lifts = zip((self.returns, self.states, self.actions), tokens.split(self.sizes, dim=-1), strict=True)
        parts = [self.position.add(lift(part), Layout(order=times)) for lift, part in lifts]
        x = self.norm(torch.stack(parts, dim=2).flatten(1, 2)) + self.shift.weight[0]  # [B, 3T, D]
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return self.embedded(self.drop(x))

    def check(self, times: Tensor) -> None:
        """ValueError for timesteps without a vector (on a CPU; elsewhere asking would wait for the device)."""
        most = self.position.context
        if most is None or times.device.type != "cpu" or torch.compiler.is_compiling():
            return
        low, high = int(times.min()), int(times.max())
        if low < 0 or high >= most:
            raise ValueError(f"timesteps {low} to {high}, but trained ones are 0 to {most - 1}: build a longer context")


class Shift(LookupTable, nn.Module):
    """weight [N, D], of which the first row counts."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, width))
        self.reset()


class Told(VectorHead):
    """Numbers, from one of the three places of each timestep. x [B, 3T, D] -> [B, T, C]."""

    def __init__(self, place: int, width: int, channels: int, *, act: str | None = None) -> None:
        super().__init__(width, channels, act=act)
        self.place = place

    def forward(self, x: Tensor, table: Tensor | None = None) -> Tensor:
        return super().forward(x[:, self.place :: 3])  # [B, T, C]


class Chosen(Head):
    """Which action, from the place of each timestep's state. x [B, 3T, D] -> scores [B, T, A]."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.out = Linear(width, count)

    def forward(self, x: Tensor, table: Tensor | None = None) -> Tensor:
        return self.out(x[:, STATE::3])  # [B, T, A]
