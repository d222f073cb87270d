"""Samples of several tasks as batches: texts as rows of ids, pictures as patches beside them.

A text is BEGIN text END, cut to the context. A row has what its task reads; of the rest it is padding (segment 0).
`asked` has a label under the name of each row's task, and IGNORED under the others' names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from weft.batch import IGNORED, Batch, Place, Tokenizer
from weft.data.blocks import check
from weft.data.mixture import Mixture, proportions
from weft.data.order import Shuffled, mix
from weft.data.signals.labelled import PURPOSE, varied
from weft.data.signals.pictures import Patches
from weft.data.signals.settings import Augment
from weft.data.signals.task_samples import Samples
from weft.data.tokenizers import encode_many


@dataclass(frozen=True)
class Form:
    """How rows are made. context: the longest text."""

    tokenizer: Tokenizer
    processor: Patches
    context: int


class TaskRows(Shuffled):
    """The samples of one task. augment: how pictures are varied, as a function of (seed, epoch, sample)."""

    def __init__(self, samples: Samples, form: Form, *, augment: Augment | None = None, seed: int = 0) -> None:
        if not len(samples.labels):
            raise ValueError(f"the task {samples.name!r} has no samples: give some, or leave it out")
        self.samples, self.form, self.seed = samples, form, seed
        self.augment = None if augment == Augment() else augment
        self.ids: list[np.ndarray] | None = None
        if samples.texts is not None:
            begin, end, room = form.tokenizer.begin, form.tokenizer.end, form.context - 2
            self.ids = [
                np.concatenate([[begin], ids[:room], [end]]) for ids in encode_many(form.tokenizer, samples.texts)
            ]

    def __len__(self) -> int:
        """Samples."""
        return len(self.samples.labels)

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples."""
        return assembled([(self, list(places), list(range(len(places))))], (self.samples.name,), self.form)

    def signals(self, places: Sequence[Place]) -> np.ndarray | None:
        """Their pictures, varied, as patches fp32 [B, S, C]; None where the task reads none."""
        if self.samples.pixels is None or self.samples.picture is None:
            return None
        found = self.samples.pixels[self.samples.picture[[place.sample for place in places]]]
        if self.augment is not None:
            found = np.stack([
                varied(one, self.augment, np.random.default_rng(mix(self.seed, PURPOSE, epoch, sample)))
                for one, (epoch, sample) in zip(found, places, strict=True)
            ])  # fmt: skip
        return self.form.processor.rows(found)

    def digest(self) -> str:
        """Of all that rows are made of."""
        samples = self.samples
        said = (samples.name, samples.classes, self.augment, self.seed, self.form.processor, self.form.context)
        found = hashlib.sha256(repr(said).encode())
        for part in (samples.labels, samples.pixels, samples.picture):
            if part is not None:
                found.update(np.ascontiguousarray(part).data)
        for ids in self.ids or ():
            found.update(np.append(ids, -1).astype(np.int64).tobytes())
        return found.hexdigest()


class TaskMix(Mixture):
    """Several tasks, read in the proportions of `weights` (see `Mixture`), of which a batch has rows of any."""

    def __init__(self, rows: Sequence[TaskRows], weights: Sequence[float], seed: int = 0) -> None:
        super().__init__(rows, weights, seed)
        self.rows = tuple(rows)
        self.names = tuple(one.samples.name for one in rows)
        self.shares = ":".join(map(str, proportions(weights)))  # how often each is read

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples, in their order."""
        check(places, len(self))
        parts: dict[int, tuple[TaskRows, list[Place], list[int]]] = {}
        for row, (epoch, sample) in enumerate(places):
            source = self.source(sample)
            _, mine, at = parts.setdefault(source, (self.rows[source], [], []))
            mine.append(Place(epoch, sample - int(self._first[source])))
            at.append(row)
        found = assembled(list(parts.values()), self.names, self.rows[0].form, pictures=any(
            one.samples.pixels is not None for one in self.rows
        ))  # fmt: skip
        return Batch(
            found.tokens, segments=found.segments, source=found.source, asked=found.asked,
            samples=tuple(sample for _, sample in places),
        )  # fmt: skip


def assembled(
    parts: Sequence[tuple[TaskRows, list[Place], list[int]]],
    names: Sequence[str],
    form: Form,
    *,
    pictures: bool = False,
) -> Batch:
    """One batch of samples of several tasks, each with the rows that they go into. pictures: it has a source even where
    none of them has a picture."""
    count = sum(len(at) for _, _, at in parts)
    texts = [(row, rows.ids[place.sample]) for rows, places, at in parts if rows.ids is not None
             for row, place in zip(at, places, strict=True)]  # fmt: skip
    width = max((len(ids) for _, ids in texts), default=1)
    tokens, segments = np.full((count, width), form.tokenizer.end, np.int64), np.zeros((count, width), np.int64)
    for row, ids in texts:
        tokens[row, : len(ids)], segments[row, : len(ids)] = ids, 1
    asked = {name: np.full(count, IGNORED, np.int64) for name in names}
    seen = list[tuple[list[int], np.ndarray]]()
    for rows, places, at in parts:
        check(places, len(rows))
        asked[rows.samples.name][at] = rows.samples.labels[[place.sample for place in places]]
        if (signals := rows.signals(places)) is not None:
            seen.append((at, signals))
    source = None
    if seen or pictures:
        patches = (form.processor.image // form.processor.patch) ** 2
        vectors = np.zeros((count, patches, form.processor.channels_of_place), np.float32)
        there = np.zeros((count, patches), np.int64)
        for at, signals in seen:
            vectors[at], there[at] = signals, 1
        source = Batch(torch.from_numpy(vectors), segments=torch.from_numpy(there))
    return Batch(
        torch.from_numpy(tokens),
        segments=torch.from_numpy(segments),
        source=source,
        asked={name: torch.from_numpy(labels) for name, labels in asked.items()},
        samples=tuple(0 for _ in range(count)) if not parts else tuple(
            place.sample for _, place in sorted(
                (row, place) for _, places, at in parts for row, place in zip(at, places, strict=True)
            )
        ),
    )  # fmt: skip
