"""Data sets whose samples are changed as an objective asks, each by what is drawn for it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from weft.batch import Batch, Dataset, Masking, Place, Sentinels, Tokenizer


class Varied(ABC):
    """A data set's samples in its order, changed. What is done to a sample is a function of (seed, epoch, sample),
    whatever batch it is in.

    purpose: the word that tells its draws from others'. copies: how many ways there are to change a sample, which
    epochs take in turn; None: a new one in every epoch.
    """

    purpose: ClassVar[str]

    def __init__(self, data: Dataset[Batch], seed: int, *, copies: int | None = None) -> None:
        self.data, self.seed, self.copies = data, seed, copies

    def __len__(self) -> int:
        """Samples in an epoch."""
        return len(self.data)

    def place(self, position: int, seed: int) -> Place:
        """As in the data set."""
        return self.data.place(position, seed)

    @abstractmethod
    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples, changed. ValueError for rows that cannot be."""

    def draw(self, place: Place, purpose: str | None = None) -> torch.Generator:
        """What is drawn for a sample."""
        epoch = place.epoch if self.copies is None else place.epoch % self.copies
        words = f"{purpose or self.purpose}/{self.seed}/{epoch}/{place.sample}"
        return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "little"))


class Turned(Varied):
    """The same of text, with the tokenizer that made its ids."""

    def __init__(self, data: Dataset[Batch], tokenizer: Tokenizer, seed: int, *, copies: int | None = None) -> None:
        super().__init__(data, seed, copies=copies)
        self.tokenizer = tokenizer

    def texts(self, places: Sequence[Place]) -> Batch:
        """These samples as the data set has them. ValueError for pairs."""
        rows = self.data.batch(places)
        if rows.source is not None:
            raise ValueError(f"{self.purpose} changes rows of one text, and these are pairs: give data of texts")
        return rows


def mask_of(tokenizer: Tokenizer) -> int:
    """The id of a hidden token: the tokenizer's own, else its first sentinel, else the one behind its last id."""
    own = tokenizer.mask if isinstance(tokenizer, Masking) else None
    spans = tokenizer.sentinels if isinstance(tokenizer, Sentinels) else ()
    return own if own is not None else spans[0] if spans else tokenizer.vocab


def ordinary(rows: Batch, tokenizer: Tokenizer) -> Tensor:
    """Where a text's own tokens stand, bool [B, T]: neither padding, nor what begins or ends a text."""
    able = (rows.tokens != tokenizer.begin) & (rows.tokens != tokenizer.end)
    return able if rows.segments is None else able & (rows.segments > 0)


def one_document(rows: Batch, what: str) -> None:
    """ValueError for rows that keep several documents apart, where an objective does `what` to a row as a whole."""
    if rows.segments is not None and int(rows.segments.max()) > 1:
        raise ValueError(f"{what}, and these hold several documents: set data.rows=stream")


def padded(rows: Sequence[Tensor], value: int) -> Tensor:
    """Rows of any length as [B, longest], filled on the right."""
    width = max(map(len, rows))
    return torch.stack([functional.pad(row, (0, width - len(row)), value=value) for row in rows])
