"""The rows of T5's table of objectives (Raffel et al. 2020, Table 3), and BART's noise (Lewis et al. 2020)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from torch import Generator, Tensor

from weft.objectives.denoise import Denoise, Noise
from weft.objectives.noise import Marks, Words, damage, rows
from weft.objectives.noise.spans import wanted


@dataclass(frozen=True)
class TableRow(Denoise):
    """A row of T5's table (Raffel et al. 2020, Table 3)."""

    @property
    @abstractmethod
    def row(self) -> rows.Row:
        """What it is."""

    def noise(self, marks: Marks, words: Words) -> Noise:
        """As the row says."""
        return partial(_apply, self.row, marks)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.row  # which refuses settings that cannot be


def _apply(row: rows.Row, marks: Marks, ids: Tensor, draw: Generator) -> tuple[Tensor, Tensor]:
    return row.apply(ids, draw, marks)


@dataclass(frozen=True)
class Prefix(TableRow):
    """Prefix language modelling: the beginning is read, the rest is written. A decoder reads the beginning as it reads
    anything, each token from those before it."""

    @property
    def row(self) -> rows.Row:
        """Without settings."""
        return rows.PrefixLanguageModel()


@dataclass(frozen=True)
class BertStyle(TableRow):
    """Tokens are hidden or replaced; the whole text is written."""

    share: float = 0.15
    hidden: float = 0.9
    random: float = 0.1

    @property
    def row(self) -> rows.Row:
        """With these shares."""
        return rows.BertStyle(self.share, self.hidden, self.random)


@dataclass(frozen=True)
class Deshuffle(TableRow):
    """Tokens are shuffled; the text is written."""

    @property
    def row(self) -> rows.Row:
        """Without settings."""
        return rows.Deshuffling()


@dataclass(frozen=True)
class Mass(TableRow):
    """Tokens are hidden; the whole text is written (after Song et al. 2019)."""

    share: float = 0.15

    @property
    def row(self) -> rows.Row:
        """With this share."""
        return rows.MassStyle(self.share)


@dataclass(frozen=True)
class DropTokens(TableRow):
    """Tokens are left out; they are written."""

    share: float = 0.15

    @property
    def row(self) -> rows.Row:
        """With this share."""
        return rows.DropTokens(self.share)


@dataclass(frozen=True)
class ReplaceSpans(TableRow):
    """Tokens are hidden, each by itself, runs of them behind one sentinel; they are written."""

    share: float = 0.15
    sentinels = True

    @property
    def row(self) -> rows.Row:
        """With this share."""
        return rows.ReplaceSpans(self.share)

    def targets(self, n: int) -> int:
        """What is hidden, with a sentinel for each token at the worst, and the last."""
        hidden = wanted(n, self.share)
        return 2 * hidden + 1


@dataclass(frozen=True)
class Spans(TableRow):
    """T5's own: spans of `mean` tokens on average are hidden behind a sentinel each; they are written."""

    share: float = 0.15
    mean: float = 3.0
    sentinels = True

    @property
    def row(self) -> rows.Row:
        """With these numbers."""
        return rows.RandomSpans(self.share, self.mean)

    def targets(self, n: int) -> int:
        """What is hidden, with its sentinels."""
        hidden = wanted(n, self.share)
        return hidden + max(1, round(hidden / self.mean)) + 1


Way = Literal["masking", "deletion", "infilling", "permutation", "rotation"]


@dataclass(frozen=True)
class Damaged(Denoise):
    """BART (Lewis et al. 2020): a text damaged in one way or several, in this order, is read; the text is written.

    share, mean: of what is masked, deleted or infilled (spans of Poisson(mean) words). The authors' own: sentences
    permuted, then 30 % infilled.
    """

    ways: tuple[Way, ...] = ("permutation", "infilling")
    share: float = 0.3
    mean: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.ways:
            raise ValueError(f"ways is empty: a text is damaged by {', '.join(get_args(Way))}, at least one")
        _ = self._ways

    @property
    def _ways(self) -> tuple[damage.Noise, ...]:
        made: dict[str, Callable[[], damage.Noise]] = {
            "masking": lambda: damage.TokenMasking(self.share),
            "deletion": lambda: damage.TokenDeletion(self.share),
            "infilling": lambda: damage.TextInfilling(self.share, self.mean),
            "permutation": damage.SentencePermutation,
            "rotation": damage.DocumentRotation,
        }
        return tuple(made[word]() for word in self.ways)

    def noise(self, marks: Marks, words: Words) -> Noise:
        """In this order."""

        def damaged(ids: Tensor, draw: Generator) -> tuple[Tensor, Tensor]:
            return damage.noised(ids, self._ways, draw, marks, words), ids

        return damaged
