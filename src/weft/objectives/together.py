"""Several objectives at once, each with its weight, in one pass over the same rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from weft.batch import Batch, Dataset, Tokenizer
from weft.models import Blueprint
from weft.nn import Encoder
from weft.nn.encoder import Head
from weft.objectives.loss import TERM, Loss, Objective
from weft.objectives.reading import Headed, Reading


@dataclass(frozen=True)
class Together(Reading):
    """Σ weight · what each part minimises; BERT is masked + next_sentence, ALBERT masked + sentence_order.

    Rows are changed by one part after the other, those first that decide what a row is made of (`Reading.first`). A
    part's term keeps its name where that is free, and is called after the part where not; those that decide are named
    last, so that "loss" is of the tokens that another hides. weights: None: all 1.
    """

    parts: tuple[Reading, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        titles = [part.title for part in self.parts]
        if len(self.parts) < 2 or len(set(titles)) < len(titles):
            raise ValueError(f"several objectives are at least two different ones, not {' + '.join(titles) or 'none'}")
        object.__setattr__(self, "weights", tuple(self.weights) or (1.0,) * len(self.parts))
        if len(self.weights) != len(self.parts) or not all(weight >= 0 for weight in self.weights):
            raise ValueError(f"weights = {self.weights} for {len(self.parts)} objectives: one of at least 0 for each")

    @property
    def title(self) -> str:
        """Their names, joined."""
        return "+".join(part.title for part in self.parts)

    @property
    def makers(self) -> dict[str, Callable[[Blueprint], Head]]:
        """Those of all parts."""
        return {name: make for part in self.parts for name, make in part.makers.items()}

    @property
    def predicted(self) -> float:
        """The most that one of them asks for."""
        return max(part.predicted for part in self.parts)

    def check(self, module: nn.Module) -> None:
        """ValueError where one of them cannot be asked."""
        for part in self.parts:
            part.check(module)

    def ids(self, tokenizer: Tokenizer) -> int:
        """What the most demanding needs."""
        return max(part.ids(tokenizer) for part in self.parts)

    def turn(self, data: Dataset[Batch], tokenizer: Tokenizer, seed: int) -> Dataset[Batch]:
        """As each asks, in turn."""
        for part in sorted(self.parts, key=lambda part: not part.first):
            data = part.turn(data, tokenizer, seed)
        return data

    def counts(self, batch: Batch) -> dict[str, int]:
        """Those of all parts."""
        found = [part.counts(batch) for part in self.parts]
        return {name: found[at][term] for name, at, term in self._names(found)}

    def terms(self, module: Encoder | Headed, x: Tensor, batch: Batch) -> dict[str, Loss]:
        """Those of all parts, weighed."""
        found = [part.terms(module, x, batch) for part in self.parts]
        terms = {}
        for name, at, term in self._names(found):
            loss = found[at][term]
            terms[name] = Loss(loss.sum, loss.count, loss.weight * self.weights[at])
        return terms

    def _names(self, found: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, str]]:
        """(name, part, the part's own name) of every term of all parts."""
        names, taken = list[tuple[str, int, str]](), set[str]()
        for at, (part, terms) in sorted(
            enumerate(zip(self.parts, found, strict=True)), key=lambda one: self.parts[one[0]].first
        ):
            for term in terms:
                longer = part.title if term == TERM else f"{part.title} {term}"
                name = longer if term in taken else term
                taken.add(name)
                names.append((name, at, term))
        return names


def together(parts: Sequence[Objective], weights: Sequence[float] = ()) -> Together:
    """Several objectives as one. ValueError for one that cannot share a pass."""
    reading = [part for part in parts if isinstance(part, Reading) and part.shares]
    if strange := [part.title for part in parts if part not in reading]:
        raise ValueError(f"{strange[0]} has a pass of its own, so it is minimised alone: leave the others out")
    return Together(tuple(reading), tuple(weights))
