"""Training a saved model further: which of the texts that are held out now it was trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from weft.data.store import TOKENIZER, Part, Store

_END = 512  # tokens by which the part of a document that was cut is known again


def trained_before(store: Store, parent: Store) -> int:
    """How many of the documents that `store` holds out `parent` trained on, whole or, of more than 512 tokens, with the
    same beginning or end: a single text is cut into two documents, and stands whole in a folder.

    ValueError where the two are of different tokenizers, whose tokens cannot be compared.
    """
    if store.digests[TOKENIZER] != parent.digests[TOKENIZER]:
        raise ValueError(
            f"{store.folder} and {parent.folder} are of different tokenizers, so their texts are not compared: use the "
            "tokenizer of the model that is trained further"
        )
    held_out = [_marks(document) for document in _documents(store.held_out)]
    wanted = set[bytes]().union(*held_out)
    seen = {
        mark for part in parent.train for document in _documents(part) for mark in _marks(document) if mark in wanted
    }
    return sum(not seen.isdisjoint(marks) for marks in held_out)


def _documents(part: Part) -> Iterator[np.ndarray]:
    """The tokens of each document that has any."""
    for start, stop in zip(part.offsets[:-1], part.offsets[1:], strict=True):
        if stop - part.after > start:
            yield part.tokens[start : stop - part.after]


def _marks(document: np.ndarray) -> set[bytes]:
    """By which a document is known: 16 bytes each of the whole, its beginning and its end."""
    parts = (document, document[:_END], document[-_END:]) if len(document) > _END else (document,)
    return {hashlib.sha256(np.ascontiguousarray(part).tobytes()).digest()[:16] for part in parts}
