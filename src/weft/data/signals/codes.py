"""Pictures as rows of codes, each behind the number of its class: what a decoder is trained on that draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from weft.batch import Batch, Place
from weft.data.blocks import check
from weft.data.order import Shuffled

MADE = "made"  # in place of a folder: a book of codes that nobody trained, to try a run out


@dataclass(frozen=True)
class CodeSettings:
    """What is read. source, paths, held_out, seed: of pictures, as in `SignalSettings`. quantiser: the folder of a
    trained model that makes codes of them; it is copied into the run's folder. mirrored: each is trained on as it is,
    and mirrored."""

    source: str = "pictures"
    paths: tuple[str, ...] = ()
    held_out: float = 0.1
    seed: int = 0
    quantiser: str = ""
    mirrored: bool = False

    def check(self) -> None:
        """ValueError, naming the setting, for what can be none."""
        if not self.quantiser:
            raise ValueError(
                "data.quantiser is empty: name the folder of a model that makes codes of pictures, trained by "
                f"autoencode ({MADE}: one that knows nothing, to try a run out)"
            )


class CodeRows(Shuffled):
    """Codes int64 [N, P], and of each row its class, int64 [N]: a row begins with the id codes + class, and each place
    predicts the next code."""

    def __init__(self, ids: np.ndarray, labels: np.ndarray, codes: int) -> None:
        if len(ids) != len(labels) or not len(labels):
            raise ValueError(f"{len(ids)} rows of codes and {len(labels)} classes: one each, and at least one")
        self.ids, self.classes, self.codes = ids, labels, codes

    def __len__(self) -> int:
        """Samples in an epoch."""
        return len(self.ids)

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples: tokens and labels int64 [B, P]."""
        rows = check(places, len(self))
        labels, first = self.ids[rows], self.codes + self.classes[rows, None]  # [B, P], [B, 1]
        tokens = np.concatenate((first, labels[:, :-1]), axis=1)
        return Batch(torch.from_numpy(tokens), labels=torch.from_numpy(labels), samples=tuple(rows.tolist()))
