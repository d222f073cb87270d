"""Captions as batches: rows of ids, and beside them the rows of their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from weft.batch import PICTURE, Batch, Place, Tokenizer
from weft.data.blocks import check
from weft.data.captions.settings import FIELD
from weft.data.order import Shuffled, mix
from weft.data.signals.processors import Processor
from weft.data.signals.settings import Augment
from weft.data.signals.varied import varied
from weft.data.tokenizers import as_source, encode_many

SEEN, WORDS = 0xCA9, 0xCAA  # of the variations, among all that is drawn by seed, epoch and sample
Row = Mapping[str, str]  # of a table: its values by column


class Captioned(Shuffled):
    """N pictures, uint8 [N, height, width, channels], with a row of a table each.

    templates: a row's text is one of them, filled, drawn anew each time. drop: the share of its words that is left out.
    augment: how pictures vary; None: not at all. All is a function of (seed, epoch, sample). pictures: what each one
    is called, where several rows may be of one; a batch then says which are (`asked["picture"]`).
    """

    def __init__(
        self,
        signals: np.ndarray,
        rows: Sequence[Row],
        processor: Processor,
        tokenizer: Tokenizer,
        context: int,
        *,
        templates: Sequence[str],
        drop: float = 0.0,
        augment: Augment | None = None,
        seed: int = 0,
        pictures: Sequence[str] = (),
    ) -> None:
        if len(signals) != len(rows) or not len(rows):
            raise ValueError(f"{len(signals)} pictures and {len(rows)} texts: one each, and at least one")
        self.signals, self.rows, self.processor, self.tokenizer = signals, rows, processor, tokenizer
        self.context, self.templates, self.drop, self.augment, self.seed = context, templates, drop, augment, seed
        self.pictures = None if len(set(pictures)) == len(pictures) else np.unique(pictures, return_inverse=True)[1]

    def __len__(self) -> int:
        """Samples in an epoch."""
        return len(self.rows)

    def text(self, place: Place) -> str:
        """What is read of a sample."""
        row, draw = self.rows[place.sample], np.random.default_rng(mix(self.seed, WORDS, *place))
        text = filled(self.templates[int(draw.integers(len(self.templates)))], row)
        if not self.drop:
            return text
        words = text.split()
        kept = [word for word, share in zip(words, draw.random(len(words)), strict=True) if share >= self.drop]
        return " ".join(kept or words)

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples: the texts, int64 [B, T], whose source are the pictures, fp32 [B, S, C]."""
        samples = check(places, len(self))
        signals, numbers = self.signals[samples], tuple(samples.tolist())
        if self.augment is not None and self.augment != Augment():
            signals = np.stack([
                varied(one, self.augment, np.random.default_rng(mix(self.seed, SEEN, epoch, sample)))
                for one, (epoch, sample) in zip(signals, places, strict=True)
            ])  # fmt: skip
        images = Batch(torch.from_numpy(self.processor.rows(signals)), samples=numbers)
        texts = rows_of([self.text(Place(*place)) for place in places], self.tokenizer, self.context)
        asked = {} if self.pictures is None else {PICTURE: torch.from_numpy(self.pictures[samples])}
        return Batch(texts.tokens, segments=texts.segments, source=images, asked=asked, samples=numbers)


def filled(template: str, row: Row) -> str:
    """A template with a row's values in place of the columns in braces. ValueError for a column that is not there."""
    for name in FIELD.findall(template):
        if name not in row:
            raise ValueError(f"the template {template!r} asks for a column {name!r}; there are: {', '.join(row)}")
    return FIELD.sub(lambda found: row[found[1]], template)


def rows_of(texts: Sequence[str], tokenizer: Tokenizer, context: int) -> Batch:
    """Texts as rows of ids, each with what its tokenizer puts around it, else END behind it; cut to `context`, padded
    on the right: tokens and segments int64 [N, T]."""
    room = context - len(as_source(tokenizer, []))
    rows = [as_source(tokenizer, ids[:room].tolist()) for ids in encode_many(tokenizer, texts)]
    tokens = torch.full((len(rows), max(map(len, rows))), tokenizer.end)
    segments = torch.zeros_like(tokens)
    for at, row in enumerate(rows):
        tokens[at, : len(row)] = torch.tensor(row)
        segments[at, : len(row)] = 1
    return Batch(tokens, segments=segments)
