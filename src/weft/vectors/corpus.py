"""Running text as the ids of its words, line by line."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from weft.data import Document

# Letters and digits, with apostrophes and hyphens inside: don't, well-known, 1990. What a text itself calls <unk> is
# matched, so that it is no word.
WORD = re.compile(r"<unk>|[^\W_]+(?:['’-][^\W_]+)*")
GONE = "<unk>"
LEAST, MOST = 1, 2**31 - 1  # how often a word has to occur; how many tokens an int32 can number


@dataclass(frozen=True, eq=False)
class Corpus:
    """words: each once, the most frequent first (equally frequent: in the order of their code points).

    counts int64 [V]: how often each occurs. tokens int32 [N]: the running text; words that are too rare are left out,
    and their neighbours move together, as in the authors' program. lines int32 [N]: in which line of the text a token
    stands, ascending; windows do not reach over its ends.
    """

    words: tuple[str, ...]
    counts: np.ndarray
    tokens: np.ndarray
    lines: np.ndarray


def read(
    documents: Iterable[Document],
    *,
    least: int = 5,
    lower: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> Corpus:
    """The words of some texts that occur at least `least` times.

    lower: whether capitals are dropped. say: hears now and then how far the reading is.
    ValueError where fewer than two words are left: there is nothing to tell apart.
    """
    if least < LEAST:
        raise ValueError(f"a word occurs at least once, and {least} was asked for: set it to 1 or more")
    numbers, found, ends = dict[str, int](), array("i"), array("q")
    for document in documents:
        text = document.text.lower() if lower else document.text
        for line in text.split("\n"):
            found.extend(numbers.setdefault(word, len(numbers)) for word in WORD.findall(line) if word != GONE)
            ends.append(len(found))
        if len(found) > MOST:
            raise ValueError(f"more than {MOST:,} words of running text: give a part of it")
        say(f"{len(found):,} words of running text, {len(numbers):,} different ones")
    return _sorted(list(numbers), np.array(found, np.int32), np.array(ends, np.int64), least)


def _sorted(known: list[str], found: np.ndarray, ends: np.ndarray, least: int) -> Corpus:
    """Words in the order of their counts, the rare ones left out."""
    counts = np.bincount(found, minlength=len(known))  # [all words]
    order = sorted((n for n in range(len(known)) if counts[n] >= least), key=lambda n: (-counts[n], known[n]))
    if len(order) < 2:
        raise ValueError(
            f"of {len(known):,} different words, {len(order)} occur {least} times or more, and vectors tell at least "
            "two apart: give more text, or ask for fewer occurrences"
        )
    ids = np.full(len(known), -1, np.int32)
    ids[order] = np.arange(len(order))
    tokens = ids[found]  # [all tokens]
    lines = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0)).astype(np.int32)  # [all tokens]
    kept = tokens >= 0
    return Corpus(tuple(known[n] for n in order), counts[order].astype(np.int64), tokens[kept], lines[kept])
