"""Masked tokens (Devlin et al. 2018): what stood where a token was hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from weft.batch import IGNORED, Batch, Dataset, Place, Tokenizer
from weft.nn import Encoder
from weft.objectives.loss import TERM, Loss
from weft.objectives.noise import Replacement, Words
from weft.objectives.noise.spans import covered, firsts, geometric, whole_words
from weft.objectives.reading import Headed, Reading
from weft.objectives.turned import Turned, mask_of, ordinary
from weft.objectives.writing import asked, count

Unit = Literal["tokens", "words", "spans"]


@dataclass(frozen=True)
class MaskedTokens(Reading):
    """-log p(token | the row with some of its tokens hidden) of an encoder's head "masked".

    Of a row's tokens `share` are asked for, at least one; what begins or ends a text is not among them. Of those
    `hidden` are replaced by the mask and `random` by any id of the tokenizer's, each drawn by itself; the others stay
    as they are.

    unit: "tokens": exactly the share of them; "words": whole words (Devlin et al.'s code of 2019), up to the share;
    "spans": spans of whole words of geometric length, at least the share (Joshi et al. 2020), and what becomes of a
    span is drawn once for all its tokens.

    copies: how many ways of hiding there are of each sample, which epochs take in turn: Devlin et al. drew 10
    beforehand, 1 is always the same. None: drawn anew in every epoch (Liu et al. 2019).

    The mask is the tokenizer's own id for it ([MASK], <mask>, of bytes the first sentinel); where it has none, one id
    more, behind the tokenizer's, which only the model knows.
    """

    share: float = 0.15
    hidden: float = 0.8
    random: float = 0.1
    unit: Unit = "tokens"
    copies: int | None = None
    asks = "masked"

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share = {self.share} of a row cannot be asked for: it is above 0 and at most 1")
        _ = self.replacement  # which refuses shares that cannot be
        if self.copies is not None and self.copies < 1:
            raise ValueError(f"copies = {self.copies}: there is at least 1 way of hiding (None: a new one each epoch)")

    @property
    def replacement(self) -> Replacement:
        """What becomes of the tokens that are asked for."""
        return Replacement(self.hidden, self.random)

    @property
    def predicted(self) -> float:
        """The share of a row's tokens that is asked for."""
        return self.share

    def ids(self, tokenizer: Tokenizer) -> int:
        """Those of the tokenizer, and the mask's where it has none."""
        return max(tokenizer.vocab, mask_of(tokenizer) + 1)

    def turn(self, data: Dataset[Batch], tokenizer: Tokenizer, seed: int) -> MaskedRows:
        """The same rows with tokens hidden, see `MaskedRows`."""
        return MaskedRows(data, self, tokenizer, seed)

    def counts(self, batch: Batch) -> dict[str, int]:
        """The places that are asked for."""
        return {TERM: count(batch)}

    def terms(self, module: Encoder | Headed, x: Tensor, batch: Batch) -> dict[str, Loss]:
        """One term, "loss". Scores are computed for the places that are asked for alone."""
        labels = asked(batch, None)
        places = labels != IGNORED
        nats = module.nats(x[places], labels[places], self.asks)  # of [N, D] and [N]
        return {TERM: Loss(nats, count(batch))}


class MaskedRows(Turned):
    """A data set's rows with tokens hidden; labels are what stood there, IGNORED elsewhere."""

    purpose = "masked"

    def __init__(self, data: Dataset[Batch], how: MaskedTokens, tokenizer: Tokenizer, seed: int = 0) -> None:
        super().__init__(data, tokenizer, seed, copies=how.copies)
        self.how, self.mask = how, mask_of(tokenizer)
        self._words = Words(tokenizer) if how.unit != "tokens" else None

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples, each with its own noise. ValueError for pairs, which no encoder reads."""
        rows = self.texts(places)
        tokens, labels = rows.tokens.clone(), torch.full_like(rows.tokens, IGNORED)
        able = ordinary(rows, self.tokenizer)  # [B, T]
        for row, place in enumerate(places):
            self._hide(tokens[row], labels[row], able[row].nonzero()[:, 0], self.draw(place))
        return replace(rows, tokens=tokens, labels=labels)

    def _hide(self, tokens: Tensor, labels: Tensor, able: Tensor, draw: torch.Generator) -> None:
        """Choose among the places that are `able` to be asked for, and change one row, [T], in place. How many numbers
        are drawn depends on the row's own tokens alone, so that no padding moves them."""
        if not len(able):
            return
        chosen, groups = self._chosen(tokens[able], draw)  # [n] each
        chosen = able[chosen]
        labels[chosen] = tokens[chosen]
        changes = self.how.replacement.drawn(groups, self.tokenizer.vocab, draw)
        tokens[chosen] = changes.apply(tokens[chosen], self.mask)

    def _chosen(self, ids: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Which of a text's tokens are asked for, and the group of each, in which all share one fate."""
        if self._words is None:
            wanted = max(1, round(self.how.share * len(ids)))
            return torch.randperm(len(ids), generator=draw)[:wanted], torch.arange(wanted)
        starts = self._words.starts(ids)
        if self.how.unit == "words":
            hidden = whole_words(starts, self.how.share, draw)
            return hidden.nonzero()[:, 0], torch.arange(int(hidden.sum()))
        hidden = covered(geometric(starts, self.how.share, draw), len(ids))
        return hidden.nonzero()[:, 0], (firsts(hidden)[hidden]).cumsum(0) - 1
