"""The denoising loop: pictures out of noise, level by level (Song et al. 2021, DDIM), with guidance (Ho & Salimans
2022)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from weft.generate.cached import evaluating
from weft.generate.sampling import row_generators, row_seeds
from weft.models.diffusing import Denoiser, Schedule
from weft.nn import Layout, Memory

Tell = Callable[[Tensor, Tensor], Tensor]  # noisy patches [B, P, C], levels int64 [B] -> what is told of them [B, P, C]


@dataclass(frozen=True)
class Denoising:
    """How pictures are drawn. steps: how many levels are visited. guidance s: what is told given the text, and beyond
    it: nothing + s · (text - nothing), 1: the text alone. eta: how much fresh noise each step brings, 0: none, 1: as
    much as Ho et al. (2020) (Song et al. 2021, eq. 16). least, most: what the numbers of a picture lie between, to
    which it is cut at every step; None: it is not. ValueError for numbers that mean nothing."""

    steps: int = 50
    guidance: float = 2.0
    eta: float = 0.0
    least: float | Tensor | None = None
    most: float | Tensor | None = None

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.guidance >= 0 or not 0 <= self.eta <= 1:
            raise ValueError(
                f"steps = {self.steps}, guidance = {self.guidance}, eta = {self.eta}: at least 1 step, a guidance of "
                "at least 0, and a share of noise from 0 to 1"
            )


def levels(steps: int, count: int) -> list[int]:
    """`count` levels of `steps`, evenly, from the last one down, and 0 behind. ValueError for more than there are."""
    if not 1 <= count <= steps:
        raise ValueError(f"{count} steps through {steps} levels of noise: at least 1, and no more than there are")
    return [round(steps * (count - at) / count) for at in range(count)] + [0]


def ddim(
    tell: Tell, schedule: Schedule, noise: Tensor, how: Denoising, draws: Sequence[torch.Generator] = ()
) -> Tensor:
    """Pictures [B, P, C] out of noise (Song et al. 2021, eq. 12). draws: each row's own, for eta above 0."""
    x, visited = noise, levels(schedule.steps, how.steps)
    least, most = (side.to(x.device) if isinstance(side, Tensor) else side for side in (how.least, how.most))
    for now, then in pairwise(visited):
        level, after = (torch.full((len(x),), at, dtype=torch.int64, device=x.device) for at in (now, then))
        picture = schedule.picture(x, tell(x, level).float(), level)
        if least is not None or most is not None:
            picture = picture.clamp(least, most)  # type: ignore[arg-type]  # of one kind each
        told = schedule.noise(x, picture, level)
        (left, added), (left_then, added_then) = schedule.shares(level), schedule.shares(after)
        fresh = how.eta * added_then / added * (1 - (left / left_then).square()).clamp(min=0).sqrt()  # [B, 1, 1]
        x = left_then * picture + (added_then.square() - fresh.square()).clamp(min=0).sqrt() * told
        if how.eta and then:
            drawn = [torch.randn(x.shape[1:], generator=draw, device=draw.device) for draw in draws]
            x = x + fresh * torch.stack(drawn).to(x)
    return x


@torch.inference_mode()
def denoise(
    module: Denoiser,
    tokens: Tensor,
    here: Layout,
    shape: tuple[int, int],
    how: Denoising,
    seed: int | Sequence[int] = 0,
) -> Tensor:
    """A picture for each text, int64 [B, T]: patches fp32 [B, P, C] of the shape (P, C), in evaluation mode.

    seed: one for all, or one for each row; a row's picture does not hang on the others. ValueError for texts that do
    not fit.
    """
    seeds = row_seeds(seed, len(tokens)) if isinstance(seed, int) else tuple(seed)
    device, draws = next(module.parameters()).device, row_generators(seeds, len(tokens))
    noise = torch.stack([torch.randn(shape, generator=draw, device=draw.device) for draw in draws]).to(device)
    with evaluating(list(module.modules())):
        segments = torch.ones_like(tokens) if here.segments is None else here.segments
        asked = module.read(tokens.to(device), Layout(segments=segments.to(device)))
        return ddim(guided(module, asked, how.guidance), module.schedule, noise, how, draws)


def guided(module: Denoiser, asked: Memory, scale: float) -> Tell:
    """What is told with guidance; of `scale` 1, given the texts alone."""
    if scale == 1:
        return lambda noisy, level: module(noisy, level, asked)
    segments = asked.here.segments
    assert segments is not None
    both = Memory(
        torch.cat((asked.states, asked.states)), Layout(segments=torch.cat((segments, torch.zeros_like(segments))))
    )

    def tell(noisy: Tensor, level: Tensor) -> Tensor:
        told, plain = module(torch.cat((noisy, noisy)), torch.cat((level, level)), both).chunk(2)
        return plain + scale * (told - plain)

    return tell
