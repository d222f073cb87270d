"""Masked tokens (Devlin et al. 2018): what stood where a token was hidden."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch

from weft.batch import IGNORED, Batch, Dataset, Masking, Place, Tokenizer
from weft.nn import Encoder
from weft.objectives.loss import Loss
from weft.objectives.next_token import asked, count, layout


class MaskedTokens:
    """-log p(token | the row with some of its tokens hidden) of an encoder's head "masked".

    Of a row's tokens `share` are asked for, exactly, at least one; what begins or ends a text is not among them. Of
    those `hidden` are replaced by the mask and `random` by any id of the tokenizer's, each drawn by itself; the others
    stay as they are. They are drawn anew in every epoch (Liu et al. 2019), where Devlin et al. drew them ten times
    beforehand.

    The mask is the tokenizer's own id for it ([MASK], <mask>, of bytes the first sentinel); where it has none, one id
    more, behind the tokenizer's, which only the model knows.
    """

    def __init__(self, share: float = 0.15, *, hidden: float = 0.8, random: float = 0.1) -> None:
        """ValueError for shares that cannot be."""
        if not 0 < share <= 1:
            raise ValueError(f"share = {share} of a row cannot be asked for: it is above 0 and at most 1")
        if min(hidden, random) < 0 or hidden + random > 1:
            raise ValueError(f"hidden = {hidden} and random = {random}: they are at least 0, and at most 1 together")
        self.share, self.hidden, self.random = share, hidden, random

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
        return {"loss": count(batch)}

    def losses(self, module: Encoder, batch: Batch) -> dict[str, Loss]:
        """One term, "loss". Scores are computed for the places that are asked for alone."""
        x, auxiliary = module(batch.tokens, layout(batch))  # [B, T, D]
        labels = asked(batch, auxiliary)
        places = labels != IGNORED
        nats = module.nats(x[places], labels[places], "masked", ignored=IGNORED)  # of [N, D] and [N]
        return {"loss": Loss(nats, count(batch))}


class MaskedRows:
    """A data set's rows with tokens hidden; labels are what stood there, IGNORED elsewhere.

    What is hidden in a sample is a function of (seed, epoch, sample), whatever batch it is in.
    """

    def __init__(self, data: Dataset[Batch], how: MaskedTokens, tokenizer: Tokenizer, seed: int = 0) -> None:
        self.data, self.how, self.seed = data, how, seed
        self.mask, self.vocab = mask_of(tokenizer), tokenizer.vocab
        self.begin, self.end = tokenizer.begin, tokenizer.end

    def __len__(self) -> int:
        """Samples in an epoch."""
        return len(self.data)

    def place(self, position: int, seed: int) -> Place:
        """As in the data set."""
        return self.data.place(position, seed)

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples, each with its own noise. ValueError for pairs, which no encoder reads."""
        rows = self.data.batch(places)
        if rows.source is not None:
            raise ValueError("tokens are hidden in rows of one text, and these are pairs: give data of texts")
        tokens, labels = rows.tokens.clone(), torch.full_like(rows.tokens, IGNORED)
        able = (tokens != self.begin) & (tokens != self.end)  # [B, T]
        if rows.segments is not None:
            able &= rows.segments > 0
        for row, place in enumerate(places):
            self._hide(tokens[row], labels[row], able[row].nonzero()[:, 0], noise(self.seed, place))
        return replace(rows, tokens=tokens, labels=labels)

    def _hide(self, tokens: torch.Tensor, labels: torch.Tensor, able: torch.Tensor, draw: torch.Generator) -> None:
        """Choose among the places that are `able` to be asked for, and change one row, [T], in place. How many numbers
        are drawn depends on the row's own tokens alone, so that no padding moves them."""
        if not len(able):
            return
        wanted = max(1, round(self.how.share * len(able)))
        chosen = able[torch.randperm(len(able), generator=draw)[:wanted]]  # [n]
        fate, other = torch.rand(wanted, generator=draw), torch.randint(self.vocab, (wanted,), generator=draw)
        labels[chosen] = tokens[chosen]
        changed = torch.where(fate < self.how.hidden + self.how.random, other, tokens[chosen])
        tokens[chosen] = changed.masked_fill(fate < self.how.hidden, self.mask)


def mask_of(tokenizer: Tokenizer) -> int:
    """The id of a hidden token: the tokenizer's own, else the one behind its last."""
    own = tokenizer.mask if isinstance(tokenizer, Masking) else None
    return tokenizer.vocab if own is None else own


def noise(seed: int, place: Place) -> torch.Generator:
    """What is drawn for a sample."""
    words = f"masked/{seed}/{place.epoch}/{place.sample}"
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "little"))
