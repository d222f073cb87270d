"""Pictures as rows of ids: what is read and what each place is to say, and the way from asking to drawn pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from weft.batch import IGNORED, Batch, Dataset, Place
from weft.data.signals import Colours
from weft.generate import Sampling, generate, row_seeds
from weft.nn import Decoder
from weft.recipes.modality import Drawn

ROWS = 128  # pictures drawn at once


class PixelRows:
    """Pictures with a class each, whose pixels are ids [B, T], as rows of begin, class where `by_class`, and all pixels
    but the last; each place says the pixel that follows, and none says the class."""

    def __init__(self, data: Dataset[Batch], begin: int, *, by_class: bool) -> None:
        self.data, self.begin, self.by_class = data, begin, by_class

    def __len__(self) -> int:
        """Samples in an epoch."""
        return len(self.data)

    def place(self, position: int, seed: int) -> Place:
        """As in the data set."""
        return self.data.place(position, seed)

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples."""
        found = self.data.batch(places)
        ids = found.tokens.long()  # [B, T]
        first = [ids.new_full((len(ids), 1), self.begin)]
        if self.by_class:
            first.append(found.asked["label"][:, None])
        silent = ids.new_full((len(ids), len(first) - 1), IGNORED)
        return Batch(
            tokens=torch.cat((*first, ids[:, :-1]), dim=1),
            labels=torch.cat((silent, ids), dim=1),
            samples=found.samples,
        )


def openings(processor: Colours, classes: Sequence[str], begin: int, asked: Sequence[str]) -> list[list[int]]:
    """What a row begins with for each picture that is asked for by its class, "" where no class is. ValueError for a
    class that there is not, and for any where the model knows none."""
    if not processor.by_class:
        if said := [name for name in asked if name]:
            raise ValueError(f"{said[0]!r} was asked for, but this model draws pictures of no class: leave it out")
        return [[begin] for _ in asked]
    if strange := [name for name in asked if name not in classes]:
        raise ValueError(f"no class is called {strange[0]!r}; there are {', '.join(classes)}")
    return [[begin, classes.index(name)] for name in asked]


def pictures_of(module: Decoder, processor: Colours, rows: Sequence[Sequence[int]], how: Drawn) -> np.ndarray:
    """The pictures that follow rows' openings, uint8 [N, image, image, channels]."""
    size, parts = processor.image**2, list[list[int]]()
    seeds = row_seeds(how.seed, len(rows))
    for start in range(0, len(rows), ROWS):
        some = rows[start : start + ROWS]
        sampling = Sampling(how.temperature, how.top_k, how.top_p, tuple(seeds[start : start + ROWS]))
        parts += [[*row.ids] for row in generate(module, some, new=size, sampling=sampling)]
    return processor.pixels(np.asarray(parts))


@torch.inference_mode()
def nats_by_class(module: Decoder, processor: Colours, begin: int, classes: int, signals: np.ndarray) -> np.ndarray:
    """-log p(pixels | class) of pictures uint8 [N, image, image, channels] under each class, fp64 [N, classes]."""
    ids = torch.from_numpy(processor.rows(signals)).to(next(module.parameters()).device)  # [N, T]
    found = torch.empty(len(ids), classes, dtype=torch.float64)
    for number in range(classes):
        first = ids.new_tensor([begin, number]).expand(len(ids), 2)
        hidden, _ = module(torch.cat((first, ids[:, :-1]), dim=1))  # [N, 1 + T, D]
        scores = module.logits(hidden[:, 1:]).float().mT  # [N, V, T]
        found[:, number] = functional.cross_entropy(scores, ids, reduction="none").double().sum(dim=1).cpu()
    return found.numpy()
