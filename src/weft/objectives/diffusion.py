"""Pictures told out of noise (Ho et al. 2020), given a text that is now and then left out (Ho & Salimans 2022)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from weft.batch import Batch, Dataset, Place
from weft.models.diffusing import Denoiser
from weft.nn import Layout
from weft.objectives.loss import TERM, Loss, Objective
from weft.objectives.turned import Varied

NOISE, MOMENT = "noise", "moment"  # what a batch is asked


@dataclass(frozen=True)
class Diffusion(Objective):
    """The squared error of what a model tells of a picture with noise, the mean over its numbers, given its text (Ho et
    al. 2020, eq. 14; Salimans & Ho 2022 where the model tells velocities).

    The level is drawn from all of the model's but 0, each as likely; it and the noise are functions of (seed, epoch,
    sample), so that held-out figures are of the same noise each time. drop: the share of pictures whose text is left
    out, so that the model can also be asked for nothing (Ho & Salimans 2022, alg. 1).
    """

    drop: float = 0.1
    carriers = (Denoiser,)
    of_signals = True
    likelihood = False

    def __post_init__(self) -> None:
        if not 0 <= self.drop < 1:
            raise ValueError(f"drop = {self.drop}, but it is a share of the texts: at least 0 and below 1")

    def counts(self, batch: Batch) -> dict[str, int]:
        """Pictures."""
        return {TERM: len(batch.tokens)}

    def answers(self, batch: Batch) -> None:
        """None: they are numbers."""

    def constant(self, module: Any, batches: Iterable[Batch]) -> float | None:
        """What 0 pays, which is about the mean of all that is to be told."""
        paid = [self._asked(module, batch)[2].square().mean(dim=(1, 2)) for batch in batches]
        return float(torch.cat(paid).double().mean()) if paid else None

    def turn_signals(self, data: Dataset[Batch], seed: int) -> Dataset[Batch]:
        """Each picture with its noise, and its text, which may be left out."""
        return Noised(data, self.drop, seed)

    def losses(self, module: Denoiser, batch: Batch) -> dict[str, Loss]:
        """The term "loss". ValueError for a batch that is no pictures with texts and noise."""
        noisy, level, wanted = self._asked(module, batch)
        told = module(noisy, level, module.read(batch.tokens, Layout(segments=batch.segments)))  # [B, P, C]
        return {TERM: Loss((told.float() - wanted).square().mean(dim=(1, 2)).sum(), len(noisy))}

    def _asked(self, module: Any, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy patches [B, P, C], their levels int64 [B], and what is to be told of them, fp32 [B, P, C]."""
        if batch.source is None or NOISE not in batch.asked:
            raise ValueError("this batch is no pictures with texts and noise: turn pairs of both by this objective")
        schedule, x, noise = module.schedule, batch.source.tokens.float(), batch.asked[NOISE]
        level = 1 + (batch.asked[MOMENT] * schedule.steps).long().clamp(max=schedule.steps - 1)  # [B]
        return schedule.noised(x, noise, level), level, schedule.wanted(x, noise, level)


class Noised(Varied):
    """Pictures with texts, each with noise of its shape, and a number in [0, 1) by which its level is chosen; a text
    that is left out is all padding."""

    purpose = "diffusion"

    def __init__(self, data: Dataset[Batch], drop: float, seed: int) -> None:
        super().__init__(data, seed)
        self.drop = drop

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples. ValueError for rows without pictures."""
        rows = self.data.batch(places)
        if rows.source is None:
            raise ValueError("noise is put on pictures that have a text each, and these rows have no pictures")
        shape, noises, moments, dropped = rows.source.tokens.shape[1:], list[Tensor](), list[Tensor](), list[bool]()
        for place in places:
            draw = self.draw(place)
            noises.append(torch.randn(shape, generator=draw))
            moments.append(torch.rand((), generator=draw))
            dropped.append(bool(torch.rand((), generator=draw) < self.drop))
        segments = torch.ones_like(rows.tokens) if rows.segments is None else rows.segments
        segments = segments * (~torch.tensor(dropped))[:, None]  # [B, T]
        asked = {**rows.asked, NOISE: torch.stack(noises), MOMENT: torch.stack(moments)}
        return replace(rows, segments=segments, asked=asked)
