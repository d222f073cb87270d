"""Pictures out of noise: how much of one is left at a level of noise, and a model that tells the rest, given a text (Ho
et al. 2020; Peebles & Xie 2023; Rombach et al. 2022, §3.3, for the text)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.models.coding import convolution, cut, folded
from weft.nn import Branch, Context, Encoder, LayerNorm, Layout, Linear, Memory, Stack
from weft.nn.branch import Auxiliary, Slots
from weft.nn.model import check_length
from weft.nn.vectors import Vectors

Predicts = Literal["noise", "velocity"]
SHIFT, MOST = 0.008, 0.999  # Nichol & Dhariwal's s, and the most of a picture that a step takes


@lru_cache
def kept(steps: int) -> Tensor:
    """ᾱ of the levels 0 .. steps, the share of a picture's variance that is left, fp64 [steps + 1], from 1 to about 0:
    a cosine's square, of which no step takes more than 0.999 (Nichol & Dhariwal 2021, eq. 17)."""
    at = torch.arange(steps + 1, dtype=torch.float64, device="cpu") / steps
    cosine = ((at + SHIFT) / (1 + SHIFT) * math.pi / 2).cos().square()
    taken = (1 - cosine[1:] / cosine[:-1]).clamp(max=MOST)
    return torch.cat((torch.ones(1, dtype=torch.float64, device="cpu"), (1 - taken).cumprod(0)))


@dataclass(frozen=True)
class Schedule:
    """Levels of noise 0 (none) .. steps (all), and what a model tells at one: the noise ε (Ho et al. 2020, eq. 14), or
    the velocity √ᾱ ε - √(1 - ᾱ) x (Salimans & Ho 2022, §4 and appendix D)."""

    steps: int
    predicts: Predicts

    def shares(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """√ᾱ and √(1 - ᾱ) of levels int64 [B], fp32 [B, 1, 1]."""
        share = kept(self.steps).to(level.device)[level][:, None, None]
        return share.sqrt().float(), (1 - share).sqrt().float()

    def noised(self, x: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """√ᾱ x + √(1 - ᾱ) ε (Ho et al. 2020, eq. 4): x, noise [B, P, C], level int64 [B]."""
        left, added = self.shares(level)
        return left * x + added * noise

    def wanted(self, x: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """What a model is to tell of them, [B, P, C]."""
        if self.predicts == "noise":
            return noise
        left, added = self.shares(level)
        return left * noise - added * x

    def picture(self, noisy: Tensor, told: Tensor, level: Tensor) -> Tensor:
        """The picture that there is behind the noise by what a model told, [B, P, C]."""
        left, added = self.shares(level)
        return left * noisy - added * told if self.predicts == "velocity" else (noisy - added * told) / left

    def noise(self, noisy: Tensor, picture: Tensor, level: Tensor) -> Tensor:
        """The noise that made one of the other, [B, P, C]; levels above 0."""
        left, added = self.shares(level)
        return (noisy - left * picture) / added


class Modulated(nn.Module):
    """x + gate · branch(norm(x) · (1 + scale) + shift) for each branch in turn: gate, scale and shift are a linear
    layer's of the level's state, 0 at first (Peebles & Xie 2023, §3.2, adaLN-Zero). x [B, P, D] as it was.

    The level's state is the memory's first.
    """

    def __init__(self, width: int, **branches: Branch) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(branches)
        self.norms = nn.ModuleDict({name: LayerNorm(width) for name in branches})
        self.modulate = Linear(width, 3 * width * len(branches))

    def forward(self, x: Tensor, ctx: Context, slots: Slots = None) -> tuple[Tensor, Auxiliary]:
        parts = iter(self.modulate(level_of(ctx)).chunk(3 * len(self.branches), dim=-1))  # [B, 1, D] each
        for name, branch in self.branches.items():
            shift, scale, gate = next(parts), next(parts), next(parts)
            y, auxiliary = branch(self.norms[name](x) * (1 + scale) + shift, ctx)
            assert auxiliary is None, "nobody would weigh its terms"
            x = x + gate * y
        return x, None

    def slots(self, make: Any) -> dict[str, Slots]:
        """Cache places by branch."""
        return {name: branch.slots(make) for name, branch in self.branches.items()}  # type: ignore[operator]

    def fill(self, slots: dict[str, Slots], ctx: Context) -> None:
        """See `Branch.fill`."""
        for name, branch in self.branches.items():
            branch.fill(slots[name], ctx)  # type: ignore[operator]


def level_of(ctx: Context) -> Tensor:
    """silu of the level's state, [B, 1, D]."""
    assert ctx.memory is not None
    return functional.silu(ctx.memory.states[:, :1])


class Level(nn.Module):
    """out(silu(dense(waves))): a level of noise, int64 [B], of `steps`, as a state [B, D]; waves: D sines and cosines
    of the level in thousandths (Vaswani et al. 2017, §3.5)."""

    def __init__(self, steps: int, width: int) -> None:
        super().__init__()
        self.steps, self.width = steps, width
        self.dense, self.out = Linear(width, width), Linear(width, width)

    def forward(self, level: Tensor) -> Tensor:
        half = self.width // 2
        pace = torch.exp(-math.log(10000) / half * torch.arange(half, device=level.device))
        angle = level[:, None] * (1000 / self.steps) * pace  # [B, D/2]
        waves = torch.cat((angle.sin(), angle.cos()), dim=-1)  # [B, D]
        return self.out(functional.silu(self.dense(waves)))


class Painter(nn.Module):
    """What is told, of states: out(norm(x) · (1 + scale) + shift) gives each pixel `features` numbers; beside the noisy
    picture they go through two convolutions, so that no seam is left between patches. [B, P, D] -> [B, P, C].

    What the last one makes is 0 at first.
    """

    def __init__(self, width: int, channels: int, patch: int, features: int) -> None:
        super().__init__()
        self.channels, self.patch, self.features = channels, patch, features
        self.norm, self.modulate = LayerNorm(width), Linear(width, 2 * width)
        self.lift = Linear(width, features * patch**2)
        self.first = convolution(features + channels, features)
        self.last = convolution(features, channels)

    def forward(self, x: Tensor, noisy: Tensor, ctx: Context) -> Tensor:
        shift, scale = self.modulate(level_of(ctx)).chunk(2, dim=-1)
        pixels = folded(self.lift(self.norm(x) * (1 + scale) + shift), self.features)  # [B, F, height, width]
        beside = torch.cat((pixels, folded(noisy.to(pixels.dtype), self.channels)), dim=1)
        return cut(self.last(functional.silu(self.first(beside))), self.patch)


class Denoiser(nn.Module):
    """What is to be told of noisy patches at a level of noise, given a text: `read` once, then `forward` at each level.

    text: makes states of ids; picture, stack: of patches, whose layers look at each other and at a memory, which is the
    level and behind it the text. A row whose text is all padding has the level alone: that is how nothing is asked for.
    """

    def __init__(
        self, text: Encoder, picture: Vectors, stack: Stack, level: Level, painter: Painter, schedule: Schedule
    ) -> None:
        super().__init__()
        self.text, self.picture, self.stack = text, picture, stack
        self.level, self.painter, self.schedule = level, painter, schedule

    @property
    def context(self) -> int | None:
        """The longest text that can be placed; None: any."""
        return self.text.context

    @property
    def source_context(self) -> int | None:
        """The most patches of a picture."""
        return self.picture.context

    def read(self, tokens: Tensor, here: Layout | None = None) -> Memory:
        """Texts int64 [B, T] -> what the layers look at, states [B, T, D]."""
        here = here or Layout()
        states, auxiliary = self.text(tokens, here)
        assert auxiliary is None, "nobody would weigh its terms"
        return Memory(states, here)

    def forward(self, noisy: Tensor, level: Tensor, memory: Memory) -> Tensor:
        """Patches [B, P, C] with noise of levels int64 [B], and texts -> what is told, [B, P, C]."""
        check_length(self.source_context, noisy.shape[1])
        states = torch.cat((self.level(level)[:, None], memory.states), dim=1)  # [B, 1 + T, D]
        here, (x, own) = memory.here, self.picture.read(noisy, Layout())  # [B, P, D]
        if here.segments is not None:
            here = Layout(segments=functional.pad(here.segments.clamp(max=1), (1, 0), value=1))  # [B, 1 + T]
        ctx = Context(own, Memory(states.to(x.dtype), here))
        x, auxiliary = self.stack(x, ctx)
        assert auxiliary is None, "nobody would weigh its terms"
        return self.painter(x, noisy, ctx)


def start(module: Denoiser) -> None:
    """Xavier uniform projections, zero biases, tables N(0, 0.02²); what modulates, and what tells, 0 (Peebles & Xie's
    code)."""
    for part in module.modules():
        if isinstance(part, Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Conv2d):
            part.reset_parameters()
    for part in module.modules():
        if isinstance(part, Modulated | Painter):
            nn.init.zeros_(part.modulate.weight)
    for weight in (module.painter.last.weight, module.painter.last.bias):
        if weight is not None:
            nn.init.zeros_(weight)
