"""From scores of labels at each place to the labels that were said (Graves et al. 2006, §3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from weft.generate.cached import check_vectors, evaluating, padded
from weft.nn import Encoder
from weft.nn.vectors import CTCHead


def collapse(best: Tensor, lengths: Sequence[int], *, blank: int = 0) -> list[list[int]]:
    """The labels of rows whose places say `best`, int64 [B, T]: of each run of equal ones the first, then without
    blanks. lengths: how many places of each row count. ValueError for other numbers of them."""
    if len(lengths) != len(best) or not all(0 <= length <= best.shape[1] for length in lengths):
        raise ValueError(f"lengths = {list(lengths)}, but there are {len(best)} rows of {best.shape[1]} places")
    found = []
    for row, length in zip(best.tolist(), lengths, strict=True):
        said = row[:length]
        new = [label for place, label in enumerate(said) if place == 0 or label != said[place - 1]]
        found.append([label for label in new if label != blank])
    return found


@torch.inference_mode()
def say(module: nn.Module, sounds: Sequence[Tensor], *, head: str = "ctc") -> list[list[int]]:
    """What an encoder hears: of each sound, floating point [places, channels], the labels of the likeliest way through
    its places. That is not always the likeliest labels, which several ways may say.

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
    return collapse(scores.argmax(dim=-1), lengths, blank=asked.blank)
