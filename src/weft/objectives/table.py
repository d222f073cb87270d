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
    """Prefix language modelling (Raffel et al. 2020, Table 3, row 1; Liu et al. 2018): the beginning of a text is read,
    the rest is written; where it is split is drawn, each place equally likely. A decoder reads the beginning as it
    reads anything, each token from those before it."""

    @property
    def row(self) -> rows.Row:
        """Without settings."""
        return rows.PrefixLanguageModel()


@dataclass(frozen=True)
class BertStyle(TableRow):
    """BERT-style (Raffel et al. 2020, Table 3, row 2, after Devlin et al. 2018): of a share of the tokens, drawn one by
    one, `hidden` become the mask and `random` any token, the others stay; the whole text is written."""

    share: float = 0.15
    hidden: float = 0.9
    random: float = 0.1

    @property
    def row(self) -> rows.Row:
        """With these shares."""
        return rows.BertStyle(self.share, self.hidden, self.random)


@dataclass(frozen=True)
class Deshuffle(TableRow):
    """Deshuffling (Raffel et al. 2020, Table 3, row 3, after Liu et al. 2019): all tokens of a text are read in a
    random order, every one equally likely; the text is written in its own."""

    @property
    def row(self) -> rows.Row:
        """Without settings."""
        return rows.Deshuffling()


@dataclass(frozen=True)
class Mass(TableRow):
    """MASS-style (Raffel et al. 2020, Table 3, row 4, after Song et al. 2019): each token of a share, drawn one by one,
    becomes the mask, none a random token; the whole text is written. (Song et al. hide one span, and write it
    alone.)"""

    share: float = 0.15

    @property
    def row(self) -> rows.Row:
        """With this share."""
        return rows.MassStyle(self.share)


@dataclass(frozen=True)
class DropTokens(TableRow):
    """Drop i.i.d. tokens (Raffel et al. 2020, Table 3, row 6): a share of the tokens, drawn one by one, is left out,
    and nothing says where; they are written, one after the other."""

    share: float = 0.15

    @property
    def row(self) -> rows.Row:
        """With this share."""
        return rows.DropTokens(self.share)


@dataclass(frozen=True)
class ReplaceSpans(TableRow):
    """Replace i.i.d. spans (Raffel et al. 2020, Table 3, row 5): a share of the tokens is drawn one by one, and each
    run of them becomes one sentinel of its own; written is each sentinel with what it stands for, and one more at the
    end."""

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
    """Random spans (Raffel et al. 2020, §3.3.4 and Table 3, row 7), T5's own: a share of the tokens in spans of `mean`
    on average, round(share · n / mean) of them, every way to lay them out equally likely; each becomes a sentinel of
    its own; written is each sentinel with what it stands for, and one more at the end."""

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
    """BART (Lewis et al. 2020, §2.2): a text damaged in one way or several, in this order, is read; the text is
    written.

    masking: tokens become the mask. deletion: tokens are left out. infilling: spans, also empty ones, become one mask
    each. permutation: sentences in a random order. rotation: the text begins at a token that was drawn, and what was
    before it comes last.

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
