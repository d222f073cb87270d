"""Where tokens stand in a text."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Located(NamedTuple):
    """The ids of a text, int32 [T], and its characters that each stands for, first to behind the last, int32 [T, 2].

    A token that is part of a character has the whole of it, a space before a word that belongs to its token is in it,
    and one that stands for nothing in the text (the space that some tokenizers put before the first word) has the
    place where it stands, with or without the character there.
    """

    ids: np.ndarray
    offsets: np.ndarray


def by_pieces(text: str, pieces: Sequence[bytes]) -> np.ndarray:
    """Where pieces stand that are, joined, the bytes of a text: int32 [T, 2]. ValueError where they are not."""
    data = text.encode("utf-8", "surrogatepass")
    if b"".join(pieces) != data:
        raise ValueError(
            f"the pieces are, joined, {b''.join(pieces)[:40]!r}, not the text, {text[:40]!r}: this tokenizer says that "
            "it is lossless, and is not"
        )
    bounds = np.cumsum([0, *map(len, pieces)])  # [T+1]
    begins = (np.frombuffer(data, np.uint8) & 0xC0) != 0x80  # [bytes] whether a character begins there
    before = np.concatenate([[0], np.cumsum(begins)])  # [bytes+1] characters that begin before each byte
    # A bound within a character lies after its first byte: the character belongs to both sides.
    inside = np.concatenate([~begins, [False]])[bounds]  # [T+1]
    starts = before[bounds[:-1]] - inside[:-1]  # [T]
    return np.stack([starts, before[bounds[1:]]], axis=1).astype(np.int32)  # [T, 2]
