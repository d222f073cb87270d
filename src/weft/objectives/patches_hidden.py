"""Masked autoencoding (He et al. 2022, MAE): most of a row's vectors are hidden, and told from the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from weft.batch import Batch, Dataset, Place
from weft.models import Blueprint
from weft.nn import (
    MLP,
    Attention,
    Block,
    Context,
    Encoder,
    Field,
    Full,
    LayerNorm,
    Layout,
    Learned,
    Linear,
    Position,
    Residual,
    Stack,
    initialise,
)
from weft.nn.vectors import Vectors
from weft.objectives.loss import TERM, Loss, Objective
from weft.objectives.turned import Varied
from weft.objectives.wrapped import Load, Wrapped
from weft.objectives.writing import layout, unweighed

EPS = 1e-6  # added to a vector's variance
OWN = "patches"  # the head of a model that says itself what is hidden
PLACES, VECTORS = "hidden places", "hidden vectors"  # what a batch is asked


@dataclass(frozen=True)
class HiddenPatches(Objective):
    """The mean squared error of each hidden vector, over its numbers; of an encoder that read the others alone (He et
    al. 2022, §3).

    share: of a row's places that are hidden. decoder_*: of the decoder beside the model, which reads the
    encoder's states and one trained vector for each hidden place, is told the places, and goes when the training ends.
    A model that has a head "patches" of its own is asked that, and needs none beside it.
    normalise: each vector is told after its own mean and deviation are taken out (§3, "Reconstruction target").
    """

    share: float = 0.75
    decoder_width: int = 96
    decoder_depth: int = 2
    decoder_heads: int = 4
    normalise: bool = True
    carriers = (Encoder,)
    of_signals = True
    likelihood = False
    loss_unit = "squared error"
    alone = False

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share = {self.share} of the places are hidden: above 0 and below 1")

    def check(self, module: nn.Module) -> None:
        """Also ValueError where places cannot be left out."""
        super().check(module)
        if isinstance(module, Encoder) and not isinstance(module.embed, Vectors):
            raise ValueError(f"{self.title} leaves places out, and this model's stem joins them: {self._why()}")

    def counts(self, batch: Batch) -> dict[str, int]:
        """The hidden vectors."""
        return {TERM: batch.asked[PLACES].numel() if PLACES in batch.asked else 0}

    def answers(self, batch: Batch) -> None:
        """None: they are numbers."""

    def constant(self, module: Any, batches: Iterable[Batch]) -> float | None:
        """What the mean of all hidden vectors pays."""
        told = torch.cat([self.told(batch).flatten(0, 1) for batch in batches])  # [N, C]
        return float((told - told.mean(dim=0)).square().mean())

    def told(self, batch: Batch) -> Tensor:
        """What the hidden vectors are told as, fp32 [B, M, C]."""
        vectors = batch.asked[VECTORS].float()
        return standardised(vectors) if self.normalise else vectors

    def turn_signals(self, data: Dataset[Batch], seed: int) -> Dataset[Batch]:
        """Rows of what is left to see."""
        return Seen(data, self.share, seed)

    def wrap(self, module: nn.Module, blueprint: Blueprint, seed: int, load: Load) -> nn.Module:
        """The encoder with a decoder beside it, drawn as a function of the seed, unless it has one of its own."""
        assert isinstance(module, Encoder)
        if OWN in module.heads:
            return module
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)  # not what the model's own weights were drawn from
            return WithDecoder(module, self, blueprint.config.width, blueprint.config.context)

    def losses(self, module: Any, batch: Batch) -> dict[str, Loss]:
        """The term "loss"."""
        if PLACES not in batch.asked:
            raise ValueError("nothing of this batch is hidden: turn the data by this objective")
        guessed = module(batch) if isinstance(module, WithDecoder) else painted(module, batch)  # [B, M, C]
        guessed, told = guessed.float(), self.told(batch)
        return {TERM: Loss((guessed - told).square().mean(dim=-1).sum(), self.counts(batch)[TERM])}


def standardised(vectors: Tensor) -> Tensor:
    """Each vector [.., C] less its mean, in its standard deviations (of C - 1), as in the authors' code."""
    mean, variance = vectors.mean(dim=-1, keepdim=True), vectors.var(dim=-1, keepdim=True)  # [.., 1]
    return (vectors - mean) / (variance + EPS).sqrt()


def painted(module: Encoder, batch: Batch) -> Tensor:
    """What the model's own head says of the hidden places, [B, M, C]."""
    x, auxiliary = module(batch.tokens, layout(batch))  # [B, F + V, D]
    unweighed(auxiliary)
    every = module.heads[OWN](x, None, batch.order)  # [B, T, C]
    places = batch.asked[PLACES]
    return every.gather(1, places[..., None].expand(*places.shape, every.shape[-1]))


class WithDecoder(Wrapped):
    """out(decoder(states of what is seen, one vector for what is hidden)), of the hidden places."""

    def __init__(self, model: Encoder, how: HiddenPatches, width: int, context: int) -> None:
        super().__init__(model)
        assert isinstance(model.embed, Vectors)
        norm, inner = partial(LayerNorm, how.decoder_width), how.decoder_width
        self.lift, self.hidden = Linear(width, inner), nn.Parameter(torch.empty(inner).normal_(std=0.02))
        self.position = Learned(context, inner)
        layers = [
            Block(attn=Residual(Attention(inner, how.decoder_heads), pre=norm()),
                  mlp=Residual(MLP(inner, 4 * inner), pre=norm()))
            for _ in range(how.decoder_depth)
        ]  # fmt: skip
        self.decoder = Stack(layers, fields={"self": Field(Position(), Full())}, norm=norm())
        self.out = Linear(inner, model.embed.channels)
        for part in (self.lift, self.decoder, self.out):
            initialise.normal(part, std=0.02)

    def forward(self, batch: Batch) -> Tensor:
        """The vectors of the hidden places, [B, M, C]."""
        x, auxiliary = self.model(batch.tokens, layout(batch))  # [B, F + V, D]
        unweighed(auxiliary)
        assert batch.order is not None
        seen, places = self.lift(x[:, -batch.order.shape[1] :]), batch.asked[PLACES]  # [B, V, W], [B, M]
        order = torch.cat((batch.order, places), dim=1)  # [B, T]: what is seen first
        y = torch.cat((seen, self.hidden.to(seen.dtype).expand(*places.shape, -1)), dim=1)  # [B, T, W]
        here = Layout(order=order)
        y, _ = self.decoder(self.position.add(y, here), Context(here))
        return self.out(y[:, seen.shape[1] :])  # [B, M, C]


class Seen(Varied):
    """Rows of vectors of which only some are left, with their places as the order, from first to last."""

    purpose = "hidden"

    def __init__(self, data: Dataset[Batch], share: float, seed: int) -> None:
        super().__init__(data, seed)
        self.share = share

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples, each with other places hidden in every epoch. ValueError for rows with padding."""
        rows = self.data.batch(places)
        if rows.segments is not None or rows.order is not None:
            raise ValueError(
                "vectors are hidden in rows that are one whole signal each, and these are padded or packed"
            )
        length = rows.tokens.shape[1]
        left = max(1, round(length * (1 - self.share)))
        if left == length:
            raise ValueError(f"share = {self.share} of {length} places hides none: raise it")
        drawn = torch.stack([torch.randperm(length, generator=self.draw(place)) for place in places])  # [B, T]
        seen, hidden = drawn[:, :left].sort().values, drawn[:, left:].sort().values  # [B, V], [B, M]
        rest = torch.arange(len(places))[:, None]
        return Batch(
            tokens=rows.tokens[rest, seen],
            order=seen,
            asked={PLACES: hidden, VECTORS: rows.tokens[rest, hidden]},
            samples=rows.samples,
        )
