"""Which captions are held out, so that neither their pictures nor their twins are trained on."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

_WORD = re.compile(r"\w+")


def split(
    texts: Sequence[str], share: float, alike: Sequence[str], seed: int, pictures: Sequence[Hashable] = ()
) -> np.ndarray:
    """Which of N captions are held out, bool [N]: round(N · share) of them, where that can be.

    Captions are of one group where they differ in nothing but case, signs and the words in `alike`, or are of one
    picture (pictures: what each one's is called; none: each has its own), and groups stay together, so that "woman
    cook" is not held out while "man cook" is trained on. Groups go by the sha256 of seed and caption, the first of
    several in the order of letters, lowest first; one that is larger than what is still to be held out is passed over.
    """
    groups = _groups([key(text, alike) for text in texts], pictures or range(len(texts)))
    order = sorted(groups, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    left, held = round(len(texts) * share), np.zeros(len(texts), bool)
    for name in order:
        if len(groups[name]) <= left:
            held[groups[name]] = True
            left -= len(groups[name])
    return held


def _groups(keys: Sequence[str], pictures: Sequence[Hashable]) -> dict[str, list[int]]:
    """Numbers of captions, by the first key of those that belong together."""
    first, seen = dict[str, str](), dict[Hashable, str]()

    def root(name: str) -> str:
        while first[name] != name:
            first[name] = name = first[first[name]]
        return name

    for name, picture in zip(keys, pictures, strict=True):
        first.setdefault(name, name)
        low, high = sorted((root(name), root(seen.setdefault(picture, name))))
        first[high] = low
    groups = defaultdict[str, list[int]](list)
    for number, name in enumerate(keys):
        groups[root(name)].append(number)
    return groups


def key(text: str, alike: Sequence[str]) -> str:
    """What is left of a caption: its words, in lower case, without those that do not count; of signs alone, these."""
    words = _WORD.findall(text.casefold())
    return " ".join(word for word in words if word not in alike) if words else text
