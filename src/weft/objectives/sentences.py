"""Pairs of stretches of text: does the second follow the first (BERT), and are they in their order (ALBERT)?"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from weft.batch import IGNORED, Batch, Dataset, Place, Tokenizer
from weft.models import Blueprint
from weft.nn import Encoder
from weft.nn.encoder import Head, PlacePooler, RowHead
from weft.objectives.loss import TERM, Loss
from weft.objectives.reading import Headed, Reading
from weft.objectives.turned import Turned, one_document, ordinary
from weft.objectives.writing import layout


@dataclass(frozen=True)
class Following(Reading):
    """-log p of which of two kinds a pair of stretches is, by the head that reads a row's pooled vector.

    A row becomes BEGIN a END b END, a and b neighbours in the text, with types 0 and 1; where it is cut is drawn. A
    half of the rows, by a draw each, is changed: see the subclasses. label 0: as the text has it; 1: changed. With
    "masked" beside it (masked+next_sentence), tokens are hidden in the rows that this makes.
    """

    asks = "next_sentence"
    first = True

    def counts(self, batch: Batch) -> dict[str, int]:
        """Its rows."""
        found = self.answers(batch)
        return {TERM: 0 if found is None else len(found)}

    def answers(self, batch: Batch) -> Tensor | None:
        """Of which kind each row is."""
        kinds = batch.asked.get(self.asks)
        return None if kinds is None else kinds[kinds != IGNORED]

    def check(self, module: nn.Module) -> None:
        """Also ValueError where the model's own pooler reads one text of a row's two."""
        super().check(module)
        if isinstance(module, Encoder) and isinstance(module.pooler, PlacePooler) and not module.pooler.pairs:
            raise ValueError(
                f"{self.title} asks of two stretches in a row, and this model's pooler reads where the first one ends: "
                "choose a family whose pooler reads a row's first place, or its last"
            )

    def head(self, blueprint: Blueprint) -> Head:
        """Two classes of a row."""
        module = blueprint.empty()
        assert isinstance(module, Encoder)
        return RowHead(module.pooled(blueprint.states), 2)

    def terms(self, module: Encoder | Headed, x: Tensor, batch: Batch) -> dict[str, Loss]:
        """The term "loss"; beside others (`Together`) it is called after the objective."""
        if self.asks not in batch.asked:
            raise ValueError(f"the batch does not say what {self.asks!r} is asked: turn the data by this objective")
        nats = module.nats(x, batch.asked[self.asks], self.asks, tokens=batch.tokens, here=layout(batch))
        return {TERM: Loss(nats, self.counts(batch)[TERM])}

    def turn(self, data: Dataset[Batch], tokenizer: Tokenizer, seed: int) -> Turned:
        """Rows of two stretches each."""
        return Stretches(data, self, tokenizer, seed)

    @abstractmethod
    def changed(
        self, a: Tensor, b: Tensor, rows: Stretches, place: Place, draw: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """What becomes of two stretches [n], [m] that are to be changed; together no longer than before."""


@dataclass(frozen=True)
class NextSentence(Following):
    """Next-sentence prediction (Devlin et al. 2018): changed, b is a stretch of another row of the data."""

    def changed(
        self, a: Tensor, b: Tensor, rows: Stretches, place: Place, draw: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """b from a row drawn among the others, where there is one."""
        count = len(rows)
        other = (place.sample + 1 + int(torch.randint(max(1, count - 1), (), generator=draw))) % count
        text = rows.own(rows.texts([Place(place.epoch, other)]))[0]  # [k]
        if not len(text):
            return a, b
        length = min(len(b), len(text))
        start = int(torch.randint(len(text) - length + 1, (), generator=draw))
        return a, text[start : start + length]


@dataclass(frozen=True)
class SentenceOrder(Following):
    """Sentence-order prediction (Lan et al. 2020, ALBERT): changed, the two stand in the other order."""

    asks = "sentence_order"

    def changed(
        self, a: Tensor, b: Tensor, rows: Stretches, place: Place, draw: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """b before a."""
        return b, a


class Stretches(Turned):
    """Rows as BEGIN a END b END, padded on the right to the rows' length; a row of fewer than two tokens asks nothing.

    Of a row of T places the last two of its text's tokens are left out where it is full, so that what stands around
    the stretches fits. Documents of a row are not told apart: ValueError for rows that keep them apart.
    """

    purpose = "stretches"

    def __init__(self, data: Dataset[Batch], how: Following, tokenizer: Tokenizer, seed: int = 0) -> None:
        super().__init__(data, tokenizer, seed)
        self.how = how

    def own(self, rows: Batch) -> list[Tensor]:
        """The texts' own tokens of each row, as many as fit."""
        one_document(rows, f"{self.how.title} cuts a row in two")
        able, room = ordinary(rows, self.tokenizer), rows.tokens.shape[1] - 3
        return [tokens[here][: max(0, room)] for tokens, here in zip(rows.tokens, able, strict=True)]

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples, each cut and changed by its own draw."""
        rows = self.texts(places)
        tokens = torch.full_like(rows.tokens, self.tokenizer.end)
        types, segments = torch.zeros_like(tokens), torch.zeros_like(tokens)
        kinds = torch.full((len(places),), IGNORED)
        for row, (place, text) in enumerate(zip(places, self.own(rows), strict=True)):
            draw = self.draw(place)
            if len(text) < 2:
                segments[row, :2] = 1
                continue
            cut = 1 + int(torch.randint(len(text) - 1, (), generator=draw))
            kinds[row] = kind = int(torch.randint(2, (), generator=draw))
            a, b = text[:cut], text[cut:]
            if kind:
                a, b = self.how.changed(a, b, self, place, draw)
            line = torch.cat((self._begin, a, self._end, b, self._end))  # [n + m + 3]
            tokens[row, : len(line)], segments[row, : len(line)] = line, 1
            types[row, len(a) + 2 : len(line)] = 1
        asked = {**rows.asked, self.how.asks: kinds}
        return Batch(tokens, None, segments=segments, types=types, asked=asked, samples=rows.samples)

    @property
    def _begin(self) -> Tensor:
        return torch.tensor([self.tokenizer.begin])

    @property
    def _end(self) -> Tensor:
        return torch.tensor([self.tokenizer.end])
