"""Documents to tokens, into a store: in bounded memory, on all cores."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np

from weft.batch import Tokenizer, Unfit
from weft.data.names import Side
from weft.data.progress import Advance
from weft.data.sources import Document
from weft.data.store import HELD_OUT, MadeOf, StoreWriter, part_names
from weft.data.tokenizers import encode_many
from weft.files import new_folder

BATCH = 1 << 21  # characters encoded together; two batches are held at a time, and a longer document alone

Routed = Iterable[tuple[Side, Document]]
_Gathered = tuple[list[str], list[Document]]  # to be encoded together; the part that each document belongs to


def write_store(
    folder: Path,
    tokenizer: Tokenizer,
    sources: Sequence[Routed],
    made_of: MadeOf,
    *,
    characters: int = 0,
    advance: Advance | None = None,
) -> None:
    """Write a new store of documents with their sides, of one source after the other; whole or not at all.

    characters: how many there are, for `advance`. ValueError where the folder is there already, and, naming the
    document, where the tokenizer cannot spell it.
    """
    names = part_names(len(sources))
    done = 0
    with new_folder(folder) as inside:
        try:
            with closing(StoreWriter(inside, tokenizer, len(sources))) as writer:
                for parts, documents, ids in _encoded(_batches(sources, names), tokenizer):
                    for part, document, row in zip(parts, documents, ids, strict=True):
                        writer.add(part, row, document.text)
                        done += len(document.text)
                    if advance is not None:
                        advance("tokenised", done, characters)
                writer.finish(made_of)
        except OSError as error:
            if error.filename is None or str(error.filename).startswith(str(inside)):
                error.filename = str(folder)  # writing does not say where, and a temporary name means nothing
            raise


def _batches(sources: Sequence[Routed], names: Sequence[str]) -> Iterator[_Gathered]:
    parts, documents, waiting = list[str](), list[Document](), 0
    for name, routed in zip(names, sources, strict=False):  # one name more: what is held out
        for side, document in routed:
            parts.append(HELD_OUT if side == Side.HELD_OUT else name)
            documents.append(document)
            waiting += len(document.text)
            if waiting >= BATCH:
                yield parts, documents
                parts, documents, waiting = [], [], 0
    yield parts, documents


def _encoded(
    batches: Iterable[_Gathered], tokenizer: Tokenizer
) -> Iterator[tuple[list[str], list[Document], list[np.ndarray]]]:
    """Each batch with its ids; the next one is read while one is encoded."""
    with ThreadPoolExecutor(1) as pool:
        earlier = None
        for parts, documents in batches:
            later = parts, documents, pool.submit(encode_documents, documents, tokenizer)
            if earlier is not None:
                yield earlier[0], earlier[1], earlier[2].result()
            earlier = later
        if earlier is not None:
            yield earlier[0], earlier[1], earlier[2].result()


def encode_documents(documents: Sequence[Document], tokenizer: Tokenizer) -> list[np.ndarray]:
    """The ids of each; Unfit names the document that the tokenizer cannot spell."""
    try:
        return encode_many(tokenizer, [document.text for document in documents])
    except ValueError:
        for document in documents:
            try:
                tokenizer.encode(document.text)
            except ValueError as error:
                raise Unfit(f"{document.name}: {error}") from error
        raise
