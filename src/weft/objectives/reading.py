"""What is asked of an encoder: heads beside the model's own, and several questions in one pass."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from weft.batch import IGNORED, Batch
from weft.models import Blueprint
from weft.nn import Auxiliary, Encoder, Layout, initialise
from weft.nn.encoder import Head, Pooler
from weft.objectives.loss import Loss, Objective
from weft.objectives.wrapped import Load, Wrapped, bare
from weft.objectives.writing import layout, unweighed


class Headed(Wrapped):
    """An encoder with heads that its family does not have. `nats` finds one wherever it is."""

    def __init__(self, model: Encoder, heads: Mapping[str, Head], width: int) -> None:
        super().__init__(model)
        self.heads = nn.ModuleDict(heads)
        pooled = any(head.pooled for head in heads.values()) and model.pooler is None
        self.pooler = Pooler(width) if pooled else None

    def forward(
        self, tokens: Tensor, here: Layout | None = None, types: Tensor | None = None
    ) -> tuple[Tensor, Auxiliary]:
        """As the encoder's."""
        return self.model(tokens, here, types)

    def pool(self, x: Tensor, tokens: Tensor | None = None, here: Layout | None = None) -> Tensor:
        """As `Encoder.pool`, also by the pooler that is beside it."""
        return self.model.pool(x, tokens, here) if self.pooler is None else self.pooler(x)

    def nats(
        self, x: Tensor, labels: Tensor, head: str | None = None, *, ignored: int = IGNORED,
        tokens: Tensor | None = None, here: Layout | None = None,
    ) -> Tensor:  # fmt: skip
        """As `Encoder.nats`, also of the heads that are beside it."""
        if head is None or head not in self.heads:
            return self.model.nats(x, labels, head, ignored=ignored, tokens=tokens, here=here)
        own = self.heads[head]
        assert isinstance(own, Head)
        if own.pooled:
            x = self.pool(x, tokens, here)  # [B, D]
        return own.nats(x, labels, self.model.embed.weight, ignored=ignored)


@dataclass(frozen=True)
class Reading(Objective):
    """Asked of an encoder in one pass, which several may share (`Together`).

    asks: the head that answers. Where the family has none of this name, one is put beside the model for the training
    (`head`), and is saved beside it. first: it decides what a row is made of, before others hide something of it.
    shares: others can be asked in its pass.
    """

    carriers = (Encoder,)
    likelihood = False
    asks: ClassVar[str] = ""
    first: ClassVar[bool] = False
    shares: ClassVar[bool] = True

    @property
    def makers(self) -> dict[str, Callable[[Blueprint], Head]]:
        """The heads that answer, by name, and what makes each anew."""
        return {self.asks: self.head}

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that answer."""
        return tuple(self.makers)

    @abstractmethod
    def terms(self, module: Encoder | Headed, x: Tensor, batch: Batch) -> dict[str, Loss]:
        """The terms of hidden states x [B, T, D]."""

    def head(self, blueprint: Blueprint) -> Head:
        """A new head for models of a blueprint. ValueError where this objective can ask none but the family's own."""
        raise ValueError(f"{self.title} asks a head {self.asks!r}, which {blueprint.family} does not have")

    def losses(self, module: Any, batch: Batch) -> dict[str, Loss]:
        """Its terms. ValueError for a batch that it cannot be asked about."""
        return self.terms(module, passed(module, batch), batch)

    def wrap(self, module: nn.Module, blueprint: Blueprint, seed: int, load: Load) -> nn.Module:
        """The module, with the heads that it lacks beside it."""
        return with_heads(module, self.makers, blueprint, seed)


def passed(module: Encoder | Headed, batch: Batch) -> Tensor:
    """Hidden states of a batch's rows, [B, T, D]. ValueError for pairs, and for terms that nobody weighs."""
    if batch.source is not None:
        raise ValueError("an encoder reads rows of texts, and these are pairs: give data of texts")
    x, auxiliary = module(batch.tokens, layout(batch), types_of(bare(module), batch))
    unweighed(auxiliary)
    return x


def types_of(encoder: nn.Module, batch: Batch) -> Tensor | None:
    """The batch's types, as far as an encoder tells them apart."""
    assert isinstance(encoder, Encoder)
    types = encoder.embed.types
    return None if types is None or batch.types is None else batch.types.clamp(max=types.weight.shape[0] - 1)


def head_of(module: Encoder | Headed, name: str) -> nn.Module:
    """A head by its name: the model's own, or one beside it."""
    beside = isinstance(module, Headed) and name in module.heads
    return module.heads[name] if beside else bare(module).heads[name]  # type: ignore[index]


def with_heads(
    module: nn.Module, makers: Mapping[str, Callable[[Blueprint], Head]], blueprint: Blueprint, seed: int
) -> nn.Module:
    """An encoder, with those heads beside it that it lacks; new weights are N(0, 0.02²), a function of the seed."""
    assert isinstance(module, Encoder)
    missing = {name: make for name, make in makers.items() if name not in module.heads}
    if not missing:
        return module
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)  # not what the model's own weights were drawn from
        heads = {name: make(blueprint) for name, make in missing.items()}
        headed = Headed(module, heads, blueprint.config.width)
        for part in (headed.heads, headed.pooler):
            if part is not None:
                initialise.normal(part, std=0.02)
    return headed
