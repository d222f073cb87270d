"""Of rows of numbers: the vector that follows, and vectors that were hidden."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from weft.batch import IGNORED, KNOWN, Batch, Dataset, Place
from weft.nn import Encoder
from weft.nn.vectors import VectorHead
from weft.objectives.loss import TERM, Loss
from weft.objectives.reading import Headed, Reading
from weft.objectives.turned import Varied
from weft.objectives.wrapped import bare

VECTORS = "vectors"  # what a batch is asked: its rows as they were, fp32 [B, T, C]


def there(batch: Batch) -> Tensor:
    """Where a batch holds anything, bool [B, T]."""
    if batch.segments is not None:
        return batch.segments > 0
    return torch.ones(batch.tokens.shape[:2], dtype=torch.bool, device=batch.tokens.device)


@dataclass(frozen=True)
class Told(Reading):
    """The squared error of vectors, each as the mean over its numbers; over those that are known, where the batch says
    which are (KNOWN).

    ahead: how many places behind the one that is asked its answer stands. past: the share of a row that is better seen
    before anything is asked of it.
    """

    of_signals = True
    ahead: ClassVar[int] = 0
    past: ClassVar[float] = 0.0

    @abstractmethod
    def wanted(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Of each place the vector that it is to tell, [B, T, C], and whether it is asked, bool [B, T]."""

    def known(self, batch: Batch) -> Tensor | None:
        """Which numbers of those vectors are known, bool [B, T, C]; None: all."""
        found = batch.asked.get(KNOWN)
        return None if found is None else found.roll(-self.ahead, dims=1)

    def check(self, module: nn.Module) -> None:
        """Also ValueError for a model of ids."""
        super().check(module)
        heads = dict(module.heads.items()) if isinstance(module, Encoder) else {}
        if isinstance(heads.get(self.asks), VectorHead):
            return
        others = [name for name, head in heads.items() if isinstance(head, VectorHead)]
        way = "choose a family of series"
        if others:
            own = " and ".join(map(repr, others))
            way = f"it has {own}, and keeps them; train a new one of its family, by the family's name"
        raise ValueError(
            f"{self.title} asks a head {self.asks!r} that tells vectors, which this model does not have: {way}"
        )

    def counts(self, batch: Batch) -> dict[str, int]:
        """The vectors that are asked."""
        return {TERM: int(self.wanted(batch)[1].sum())}

    def answers(self, batch: Batch) -> None:
        """None: they are numbers."""

    def constant(self, module: Any, batches: Iterable[Batch]) -> float | None:
        """What the mean of all that is asked pays."""
        asked, known = list[Tensor](), list[Tensor]()
        for batch in batches:
            (vectors, places), which = self.wanted(batch), self.known(batch)
            asked.append(vectors[places].double())  # [n, C]
            known.append(torch.ones_like(asked[-1]) if which is None else which[places].double())
        if not sum(map(len, asked)):
            return None
        vectors, weights = torch.cat(asked), torch.cat(known)  # [N, C] both
        mean = (vectors * weights).sum(dim=0) / weights.sum(dim=0).clamp(min=1)
        return float(errors(mean.expand_as(vectors), vectors, weights).mean())

    def terms(self, module: Encoder | Headed, x: Tensor, batch: Batch) -> dict[str, Loss]:
        """The term "loss"."""
        encoder = bare(module)
        assert isinstance(encoder, Encoder)
        vectors, places = self.wanted(batch)
        told, known = encoder.logits(x, self.asks)[places].float(), self.known(batch)  # [N, C]
        found = errors(told, vectors[places].float(), None if known is None else known[places])
        return {TERM: Loss(found.sum(), int(places.sum()))}


def errors(told: Tensor, vectors: Tensor, known: Tensor | None) -> Tensor:
    """The mean squared error of each vector's numbers, [N, C] -> [N]. known: 1 or True where a number counts, at least
    one of each vector; None: all."""
    squares = (told - vectors).square()
    if known is None:
        return squares.mean(dim=-1)
    return (squares * known).sum(dim=-1) / known.sum(dim=-1)


@dataclass(frozen=True)
class NextVector(Told):
    """The squared error of the vector that follows each place, told by the head "next" from that place and those before
    it. The last place of a document is not asked, nor one whose label is IGNORED."""

    asks = "next"
    ahead, past = 1, 0.5

    def check(self, module: nn.Module) -> None:
        """Also ValueError for a model that would see what it is to tell."""
        super().check(module)
        assert isinstance(module, Encoder)
        try:
            module.stack.check_causal()
        except ValueError as error:
            raise ValueError(f"{self.title} asks a model that looks back only: {error}") from error

    def wanted(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The vectors behind; a place is asked where one of its own document follows."""
        following, places = batch.tokens.roll(-1, dims=1), there(batch).clone()
        places[:, -1] = False
        if batch.segments is not None:
            places &= batch.segments == batch.segments.roll(-1, dims=1)
        if batch.labels is not None:
            places &= batch.labels != IGNORED
        return following, places


@dataclass(frozen=True)
class MaskedVectors(Told):
    """The squared error of vectors that were hidden, told by the head "hidden" from those that were not.

    A row is cut into stretches of `stretch` places, from a drawn place on, and `share` of the stretches are hidden, at
    least one; of a row that has labels only places whose label is not IGNORED. A hidden vector is 0, which is a
    normalised channel's mean (Zerveas et al. 2021, §3.3; there each channel is hidden by itself).
    """

    share: float = 0.15
    stretch: int = 3
    asks = "hidden"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share = {self.share} of a row cannot be hidden: it is above 0 and below 1")
        if self.stretch < 1:
            raise ValueError(f"stretch = {self.stretch}, but it has at least 1 place")

    @property
    def predicted(self) -> float:
        """The share of a row's places that is asked for."""
        return self.share

    def turn_signals(self, data: Dataset[Batch], seed: int) -> Dataset[Batch]:
        """The same rows with vectors hidden."""
        return HiddenVectors(data, self, seed)

    def wanted(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What stood at the hidden places. ValueError where nothing was hidden."""
        if batch.labels is None or VECTORS not in batch.asked:
            raise ValueError("nothing of this batch is hidden: turn the data by this objective")
        return batch.asked[VECTORS], batch.labels != IGNORED


class HiddenVectors(Varied):
    """A data set's rows with vectors hidden; labels are 0 there and IGNORED elsewhere, and the rows as they were are
    asked."""

    purpose = "masked_vectors"

    def __init__(self, data: Dataset[Batch], how: MaskedVectors, seed: int) -> None:
        super().__init__(data, seed)
        self.how = how

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples, each with other places hidden in every epoch."""
        rows = self.data.batch(places)
        tokens, able = rows.tokens.clone(), there(rows)
        if rows.labels is not None:
            able = able & (rows.labels != IGNORED)
        labels = torch.full(able.shape, IGNORED)
        for row, place in enumerate(places):
            chosen = able[row].nonzero()[:, 0]
            chosen = chosen[self._hidden(len(chosen), self.draw(place))]
            labels[row, chosen], tokens[row, chosen] = 0, 0.0
        return replace(rows, tokens=tokens, labels=labels, asked={**rows.asked, VECTORS: rows.tokens})

    def _hidden(self, count: int, draw: torch.Generator) -> Tensor:
        """Which of a row's places are hidden, bool [count]. What is drawn depends on the row alone."""
        first = int(torch.randint(self.how.stretch, (), generator=draw))
        stretch = (torch.arange(count) + first) // self.how.stretch  # of each place
        number = int(stretch[-1]) + 1 if count else 0
        wanted = max(1, round(self.how.share * number))
        return torch.isin(stretch, torch.randperm(number, generator=draw)[:wanted])
