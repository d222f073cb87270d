"""From scores of labels at each place to the labels that were said (Graves et al. 2006, §3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from weft.generate.cached import check_vectors, evaluating, padded
from weft.nn import Encoder
from weft.nn.vectors import CTCHead


class At(NamedTuple):
    """A label, and the first and the last place that say it."""

    label: int
    first: int
    last: int


def collapse(best: Tensor, lengths: Sequence[int], *, blank: int = 0) -> list[list[int]]:
    """The labels of rows whose places say `best`, int64 [B, T]: of each run of equal ones the first, then without
    blanks. lengths: how many places of each row count. ValueError for other numbers of them."""
    return [[one.label for one in row] for row in placed(best, lengths, blank=blank)]


def placed(best: Tensor, lengths: Sequence[int], *, blank: int = 0) -> list[list[At]]:
    """`collapse`, with where each label is said."""
    if len(lengths) != len(best) or not all(0 <= length <= best.shape[1] for length in lengths):
        raise ValueError(f"lengths = {list(lengths)}, but there are {len(best)} rows of {best.shape[1]} places")
    found = list[list[At]]()
    for row, length in zip(best.tolist(), lengths, strict=True):
        runs = list[At]()
        for place, label in enumerate(row[:length]):
            if runs and runs[-1].label == label:
                runs[-1] = runs[-1]._replace(last=place)
            else:
                runs.append(At(label, place, place))
        found.append([run for run in runs if run.label != blank])
    return found


def say(module: nn.Module, sounds: Sequence[Tensor], *, head: str = "ctc") -> list[list[int]]:
    """What an encoder hears: of each sound, floating point [places, channels], the labels of the likeliest way through
    its places. See `say_at`."""
    return [[one.label for one in row] for row in say_at(module, sounds, head=head)]


@torch.inference_mode()
def say_at(module: nn.Module, sounds: Sequence[Tensor], *, head: str = "ctc") -> list[list[At]]:
    """What an encoder hears, and where: of each sound, floating point [places, channels], the labels of the likeliest
    way through its places. That is not always the likeliest labels, which several ways may say.

    A sound's labels do not depend on its companions. The module is put into evaluation mode meanwhile. ValueError for
    another kind of module or head, for what are no vectors of the module's, and for scores that are no finite numbers.
    """
    asked = module.heads[head] if isinstance(module, Encoder) and head in module.heads else None
    if not isinstance(module, Encoder) or not isinstance(asked, CTCHead):
        raise ValueError(f"{type(module).__name__} has no head {head!r} that says labels: train one that has")
    if not len(sounds):
        raise ValueError("no sound was given: give at least one")
    example = next(module.parameters())
    check_vectors("sound", sounds, module.embed.channels)
    tokens, here = padded([sound.to(example) for sound in sounds], "right", example.device)
    with evaluating(list(module.modules())):
        x, _ = module(tokens, here)
        scores = asked(x).float()  # [B, T', labels]
    segments = module.embed.lay(here, tokens.shape[1]).segments
    lengths = [x.shape[1]] * len(x) if segments is None else (segments > 0).sum(dim=1).tolist()
    if not bool(scores.isfinite().all()):
        raise ValueError("some scores are no finite numbers: look for such weights, or such numbers in the sounds")
    return placed(scores.argmax(dim=-1), lengths, blank=asked.blank)
