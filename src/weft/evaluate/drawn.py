"""Drawn pictures, judged by a model that tells pictures apart: do they show what was asked for, and are they like real
ones?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import Module

from weft.data.signals import Patches
from weft.nn import Encoder

ROWS = 256  # of a pass


@dataclass(frozen=True)
class Drawing:
    """count: pictures that were drawn. right: the share of those that the judge takes for what was asked; None: nothing
    was asked. by_class: the same of each class that was. distance: Fréchet's to real pictures, in the judge's vectors.
    halves: the same distance between two halves of the real ones, by turns: what real pictures would come near."""

    count: int
    right: float | None
    by_class: dict[str, float]
    distance: float
    halves: float

    def figures(self) -> dict[str, float]:
        """By name, without what there is not."""
        found = {"frechet": self.distance, "frechet_of_halves": self.halves}
        return found if self.right is None else {"right": self.right} | found


def drawn(
    module: Module,
    processor: Patches,
    classes: Sequence[str],
    pictures: np.ndarray,
    asked: Sequence[str] | None,
    real: np.ndarray,
    advance: Callable[[int], None] = lambda more: None,
) -> Drawing:
    """What a judge makes of pictures uint8 [N, height, width, channels]. module, processor, classes: the judge, an
    encoder with a head "classes", what makes its rows, and the names of its classes. asked: what each picture was to
    show, by these names. real: pictures of the same kind that the judge was not trained on, and whoever drew was not
    either. advance: hears how many more are looked at.

    The distance is of the judge's pooled vectors (Heusel et al. 2017, eq. 6, whose judge is an Inception network, so
    that numbers of different judges cannot be compared). It falls with the number of pictures; compare equal ones.
    ValueError for a judge that is none, for fewer than two pictures, and for a class that the judge does not know.
    """
    if not isinstance(module, Encoder) or "classes" not in module.heads or module.pooler is None:
        raise ValueError(
            "a judge of pictures tells classes apart: train a model on pictures with classes, and name its folder"
        )
    if asked is not None and (strange := [name for name in asked if name not in classes]):
        raise ValueError(f"the judge knows no class {strange[0]!r}; it tells {', '.join(classes[:20])} apart")
    if asked is not None and len(asked) != len(pictures):
        raise ValueError(f"{len(asked)} classes were asked for and {len(pictures)} pictures drawn: one each")
    if min(len(pictures), len(real) // 2) < 2:
        raise ValueError(f"{len(pictures)} drawn and {len(real)} real pictures: at least 2 drawn and 4 real ones")
    mine, guesses = looked_at(module, processor, pictures, len(classes), advance)
    theirs, _ = looked_at(module, processor, real, len(classes), advance)
    hits: dict[str, list[bool]] = {}
    for name, guess in zip(asked or (), guesses, strict=False):
        hits.setdefault(name, []).append(classes[guess] == name)
    by_class = {name: sum(found) / len(found) for name, found in sorted(hits.items())}
    right = sum(map(sum, hits.values())) / len(pictures) if asked is not None else None
    return Drawing(len(pictures), right, by_class, frechet(mine, theirs), frechet(theirs[::2], theirs[1::2]))


@torch.no_grad()
def looked_at(
    module: Encoder,
    processor: Patches,
    pictures: np.ndarray,
    classes: int,
    advance: Callable[[int], None] = lambda more: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Pooled states of pictures uint8 [N, height, width, channels], fp64 [N, D], and the likeliest of the first
    `classes`, int64 [N]: a head may have more than the data named. Grey for coloured is made as the model reads it, and
    so is another size; a smaller picture by Lanczos's filter whatever the model's is: a softer one takes its edges, and
    real clothes of 14 x 14 pixels were then known in 0.67 for 0.77."""
    sharp = replace(processor, resample="lanczos")
    was, device = module.training, next(module.parameters()).device
    vectors, guesses = list[torch.Tensor](), list[torch.Tensor]()
    module.eval()
    try:
        for start in range(0, len(pictures), ROWS):
            signals = np.stack([
                (sharp if max(one.shape[:2]) < processor.image else processor).fitted(as_read(one, processor))
                for one in pictures[start : start + ROWS]
            ])  # fmt: skip

            states, _ = module(torch.from_numpy(processor.rows(signals)).to(device))
            vectors.append(module.pool(states).double().cpu())  # [B, D]
            guesses.append(module.logits(states, "classes")[:, :classes].argmax(dim=-1).cpu())  # [B]
            advance(len(signals))
    finally:
        module.train(was)
    return torch.cat(vectors).numpy(), torch.cat(guesses).numpy()


def as_read(picture: np.ndarray, processor: Patches) -> np.ndarray:
    """A picture uint8 [height, width, channels] with as many channels as a model reads: grey by the luma of ITU-R 601,
    coloured by three alike."""
    if picture.shape[-1] == processor.channels:
        return picture
    if processor.channels == 3:
        return picture.repeat(3, axis=-1)
    return (picture @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)[..., None]


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """|a - b|² + tr(A + B - 2 (A B)^½) of the means a, b and covariances A, B of two sets of vectors, fp64 [N, D] and
    [M, D] (Fréchet's distance between two normal distributions, squared; Dowson & Landau 1982)."""
    apart = first.mean(axis=0) - second.mean(axis=0)
    spread, other = np.atleast_2d(np.cov(first, rowvar=False)), np.atleast_2d(np.cov(second, rowvar=False))
    values, vectors = np.linalg.eigh(spread)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    # A B and A^½ B A^½ have the same eigenvalues, and the second is symmetric
    both = np.linalg.eigvalsh(root @ other @ root).clip(min=0)
    return float(max(0.0, apart @ apart + np.trace(spread) + np.trace(other) - 2 * np.sqrt(both).sum()))
