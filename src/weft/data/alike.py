"""An order in which rows of about one length come together, so that little of a step is padding."""

from __future__ import annotations

import numpy as np

from weft.data.order import mix, place

_STEPS = 64  # from so many steps' rows, those of about one length are put together: others each epoch


def alike_order(lengths: np.ndarray, rows: int, seed: int, epoch: int) -> np.ndarray:
    """Every sample of an epoch once, int64 [samples]; those at positions k·rows to (k + 1)·rows - 1 of the endless run
    are of about one length. A function of its arguments alone.

    lengths int64 [samples]; rows: of a step. The samples are shuffled; of every 64 steps' worth, neighbours in length
    make a step; and the steps are shuffled. An epoch begins with as many samples as the step lacks that it begins in.
    """
    size = len(lengths)
    shuffled = np.array([place(epoch * size + within, size, seed)[1] for within in range(size)])
    head, body = np.split(shuffled, [-epoch * size % rows])
    steps: list[np.ndarray] = []
    for start in range(0, len(body), _STEPS * rows):
        some = body[start : start + _STEPS * rows]
        some = some[np.argsort(lengths[some], kind="stable")]
        steps += [some[first : first + rows] for first in range(0, len(some), rows)]
    last = [steps.pop()] if steps and len(steps[-1]) < rows else []  # begins a step that the next epoch fills
    count = len(steps)
    turns = [place(within, count, mix(seed, epoch))[1] for within in range(count)] if count else []
    return np.concatenate([head, *(steps[turn] for turn in turns), *last])
