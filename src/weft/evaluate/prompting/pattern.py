"""Texts with places for the columns of a row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

_MARK = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|[{}]")


@dataclass(frozen=True)
class Pattern:
    """ "Review: {text}": a place for a column in braces; {{ and }} are the braces themselves.

    parts: texts and columns by turns, beginning and ending with a text.
    """

    parts: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> Self:
        """ValueError for a brace without its partner, and for a place without a name."""
        parts, after = [""], 0
        for mark in _MARK.finditer(text):
            parts[-1] += text[after : mark.start()]
            after = mark.end()
            if mark[1] is not None:
                parts += [mark[1], ""]
            elif mark[0] in ("{{", "}}"):
                parts[-1] += mark[0][0]
            else:
                raise ValueError(
                    f"{text[:60]!r} has a lone {mark[0]!r}, at character {mark.start() + 1}: a place is a column's "
                    "name in braces, {text}; double a brace that is meant as one, {{"
                )
        parts[-1] += text[after:]
        return cls(tuple(parts))

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its places, in their order."""
        return self.parts[1::2]

    def fill(self, texts: Mapping[str, str]) -> str:
        """With each place's text put in, as it is: braces in it are braces."""
        return "".join(texts[part] if number % 2 else part for number, part in enumerate(self.parts))
