"""Replaced-token detection (Clark et al. 2020, ELECTRA): which tokens are a generator's guesses, not the author's?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.batch import IGNORED, Batch, Dataset, Place, Tokenizer
from weft.models import Blueprint
from weft.nn import Context, Encoder, Layout
from weft.nn.encoder import Head, PlaceHead
from weft.objectives.loss import TERM, Loss, entropy
from weft.objectives.masked import MaskedRows, MaskedTokens
from weft.objectives.reading import Headed, types_of, with_heads
from weft.objectives.wrapped import Load, Wrapped
from weft.objectives.writing import asked, count, layout, there, unweighed

Sharing = Literal["whole", "disentangled"]


@dataclass(frozen=True)
class ReplacedTokens(MaskedTokens):
    """A generator fills in masked tokens; the model, its discriminator, says of every token whether it was replaced.

    weight · the term "loss" (-log p(replaced or not), each of a text's tokens) + "generator" (-log p of the masked
    tokens). A guess that happens to be right counts as the author's. Guesses are drawn from the generator by numbers
    that come with the sample, so that they do not hang on how a batch is put together; no gradient goes through them.

    generator: the share of the model's layers that the generator has, at its full width (He et al. 2023, DeBERTa-v3;
    Clark et al. narrow it instead). Both read one table of tokens, and one norm, places and types of the embedding:
    "whole", trained by both (ELECTRA), or "disentangled": the discriminator reads the generator's table, without a
    gradient, plus a table of its own that begins at zero (DeBERTa-v3, §3.2). The saved model is the discriminator, its
    table the sum.
    """

    hidden: float = 1.0
    random: float = 0.0
    weight: float = 50.0
    generator: float = 0.5
    sharing: Sharing = "whole"
    asks = "replaced"
    alone = False
    shares = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.generator <= 1:
            raise ValueError(f"generator = {self.generator}: a share of the model's layers, above 0 and at most 1")
        if not self.weight > 0:
            raise ValueError(f"weight = {self.weight}, but the discriminator's term weighs more than 0")

    @property
    def predicted(self) -> float:
        """The generator scores a share of the tokens over the vocabulary; the discriminator's score is one number."""
        return self.share

    def turn(self, data: Dataset[Batch], tokenizer: Tokenizer, seed: int) -> MaskedRows:
        """The same rows with tokens hidden, what stood there, and a number for each guess."""
        return GuessedRows(data, self, tokenizer, seed)

    def counts(self, batch: Batch) -> dict[str, int]:
        """All tokens of texts of which any is masked, and those that are."""
        return {TERM: int(there(batch).sum()) if count(batch) else 0, "generator": count(batch)}

    def constant(self, module: Any, batches: Iterable[Batch]) -> float | None:
        """The entropy of replaced or not, of all tokens that are asked for, by the guesses of this module's generator:
        like the discriminator's loss it hangs on how good those are."""
        assert isinstance(module, Detecting)

        def told(batch: Batch) -> Tensor:
            replaced = self.filled(module, batch)[1]
            return replaced[replaced != IGNORED]

        return entropy(map(told, batches))

    def head(self, blueprint: Blueprint) -> Head:
        """One score a place."""
        return PlaceHead(blueprint.config.width)

    def wrap(self, module: nn.Module, blueprint: Blueprint, seed: int, load: Load) -> nn.Module:
        """The discriminator, with a generator beside it."""
        config = blueprint.config
        smaller = {"depth": max(1, round(config.depth * self.generator)), "tasks": ("masked",)}
        known = {field.name for field in fields(config)}
        smaller |= {"pooler": False} if "pooler" in known else {}
        generator = replace(blueprint, config=replace(config, **smaller)).build(seed=seed + 2)
        assert isinstance(generator, Encoder)
        headed = with_heads(module, self.makers, blueprint, seed)
        return Detecting(headed, generator, disentangled=self.sharing == "disentangled")

    def losses(self, module: Any, batch: Batch) -> dict[str, Loss]:
        """The terms "loss", of the discriminator, and "generator"."""
        assert isinstance(module, Detecting)
        shown, replaced, nats = self.filled(module, batch)
        counts = self.counts(batch)
        found = module.detect(shown, replaced, layout(batch), types_of(module.reader, batch))
        return {TERM: Loss(found, counts[TERM], self.weight), "generator": Loss(nats, counts["generator"])}

    def filled(self, module: Detecting, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The rows with the generator's guesses, whether each token is replaced, IGNORED where that is not asked, int64
        [B, T] both, and Σ -log p of the masked tokens."""
        labels = asked(batch, None)
        places = labels != IGNORED
        x = module.generate(batch.tokens, layout(batch), types_of(module.reader, batch))[places]  # [N, D]
        nats = module.generator.heads["masked"].nats(x, labels[places], module.table)  # type: ignore[operator]
        guesses = module.guess(x, batch.asked["draw"][places])  # [N]
        tokens = torch.where(places, labels, batch.tokens)  # [B, T], the author's
        shown = tokens.masked_scatter(places, guesses)
        return shown, (shown != tokens).long().masked_fill(~there(batch), IGNORED), nats


class GuessedRows(MaskedRows):
    """Rows with tokens hidden, and for each place a number in [0, 1) by which a guess is drawn."""

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples."""
        rows = super().batch(places)
        draws = [torch.rand(rows.tokens.shape[1], generator=self.draw(place, "guess")) for place in places]
        return replace(rows, asked={**rows.asked, "draw": torch.stack(draws)})


class Detecting(Wrapped):
    """A discriminator and a generator that reads the same embedding."""

    def __init__(self, model: nn.Module, generator: Encoder, *, disentangled: bool) -> None:
        """model: an encoder, or one with a head beside it."""
        super().__init__(model)
        generator.embed = nn.Identity()  # type: ignore[assignment]  # it reads the discriminator's
        self.generator = generator
        self.own = nn.Parameter(torch.zeros_like(self.table)) if disentangled else None  # [V, E]

    @property
    def reader(self) -> Encoder:
        """The discriminator without what stands beside it."""
        return self.model.model if isinstance(self.model, Headed) else self.model

    @property
    def table(self) -> Tensor:
        """The generator's table of tokens, [V, E]."""
        table = self.reader.embed.weight
        assert table is not None
        return table

    def generate(self, tokens: Tensor, here: Layout, types: Tensor | None) -> Tensor:
        """The generator's hidden states [B, T, D] of rows with tokens hidden."""
        x = self.reader.embed(tokens, here, types=types)  # [B, T, D]
        x, auxiliary = self.generator.stack(x, Context(here))  # [B, T, D]
        unweighed(auxiliary)
        return x

    @torch.no_grad()
    def guess(self, x: Tensor, draws: Tensor) -> Tensor:
        """A token for each of the generator's states [N, D], by numbers [N] in [0, 1) -> int64 [N]."""
        scores = self.generator.heads["masked"](x, self.table).float()  # [N, V]
        reached = scores.softmax(dim=-1).cumsum(dim=-1)  # [N, V]
        drawn = draws.to(reached)[:, None] * reached[:, -1:]  # of what rounding left
        return torch.searchsorted(reached, drawn, right=True)[:, 0].clamp(max=scores.shape[-1] - 1)

    def detect(self, tokens: Tensor, replaced: Tensor, here: Layout, types: Tensor | None) -> Tensor:
        """Σ -log p(replaced or not) of rows [B, T], fp32."""
        given = tokens
        if self.own is not None:
            given = functional.embedding(tokens, self.table.detach() + self.own)  # [B, T, E]
        x, auxiliary = self.model(given, here, types)
        unweighed(auxiliary)
        return self.model.nats(x, replaced, "replaced")

    def kept(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The discriminator's, its table the sum of both."""
        model = super().kept(tensors)
        if self.own is not None:
            model["embed.weight"] = model["embed.weight"] + tensors["own"]
        return model
