"""Which captions are held out, so that none of their twins is trained on."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

_WORD = re.compile(r"\w+")


def split(texts: Sequence[str], share: float, alike: Sequence[str], seed: int) -> np.ndarray:
    """Which of N captions are held out, bool [N]: round(N · share) of them, where that can be.

    Captions are of one group where they differ in nothing but case, signs and the words in `alike`, and groups stay
    together, so that "woman cook" is not held out while "man cook" is trained on. Groups go by the sha256 of seed and
    caption, lowest first; one that is larger than what is still to be held out is passed over.
    """
    groups = defaultdict[str, list[int]](list)
    for number, text in enumerate(texts):
        groups[key(text, alike)].append(number)
    order = sorted(groups, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    left, held = round(len(texts) * share), np.zeros(len(texts), bool)
    for name in order:
        if len(groups[name]) <= left:
            held[groups[name]] = True
            left -= len(groups[name])
    return held


def key(text: str, alike: Sequence[str]) -> str:
    """What is left of a caption: its words, in lower case, without those that do not count; of signs alone, these."""
    words = _WORD.findall(text.casefold())
    return " ".join(word for word in words if word not in alike) if words else text
