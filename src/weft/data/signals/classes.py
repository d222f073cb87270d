"""The classes of some data, and those that a model tells apart."""

from __future__ import annotations

from collections.abc import Sequence


def known_as(names: Sequence[str], known: Sequence[str]) -> list[int] | None:
    """The number that a model has for each class of the data: that of its name among `known`, or, where files number
    their classes from 0 on and the model has words for them, the same number. None where one is neither. ValueError
    for a name that the model has twice."""
    for words in (list(known), [str(number) for number in range(len(known))]):
        if set(names) <= set(words):
            if twice := [name for name in names if words.count(name) > 1]:
                raise ValueError(f"the model calls two of its classes {twice[0]!r}, so that a name does not say which")
            return [words.index(name) for name in names]
    return None
