"""`weft ngram`."""

from __future__ import annotations

import json
import time

from weft.batch import Tokenizer
from weft.cli.shared import note, print_figures
from weft.data import Document, named_tokenizer, open_source, stream, train_tokenizer
from weft.data.progress import counted
from weft.evaluate import Bigram, Counted, NGram, counted_bytes, counted_likelihood, no_bytes
from weft.registry import suggest

KINDS = ("bigram", "kneser_ney")


def command(
    data: tuple[str, ...],
    held_out: tuple[str, ...],
    kind: str,
    order: int | None,
    add: float | None,
    tokenizer: str,
    vocab: int,
    column: str,
    *,
    as_json: bool,
) -> None:
    """Count, score, and print the figures by the names that `weft eval` gives them."""
    check(kind, order, add)
    train, other = texts(data, column), texts(held_out, column)
    language = opened_tokenizer(tokenizer, train, vocab)
    began = time.perf_counter()
    tokens = stream(train, language, counted(note, "tokenised: documents", len(train)))
    note(f"counting {len(tokens):,} tokens …")
    grams = 5 if order is None else order
    model: Counted = (
        Bigram.fit(tokens, language.vocab, 1.0 if add is None else add)
        if kind == "bigram"
        else NGram.fit(tokens, language.vocab, grams, counted(note, "counted: orders", grams))
    )
    seconds = time.perf_counter() - began
    if why := no_bytes(language):
        note(why)
    size = sum(len(document.text.encode()) for document in other)
    held = stream(other, language, counted(note, "tokenised: held-out documents", len(other)))
    found = counted_likelihood(model, held, bytes=counted_bytes(language, size))
    figures = found.figures() | {"parameters": model.parameters, "flops_per_token": model.flops, "seconds": seconds}
    if as_json:
        print(json.dumps({"kind": kind, "data": list(data), "held_out": list(held_out)} | figures))
        return
    print_figures(figures)


def check(kind: str, order: int | None, add: float | None) -> None:
    """ValueError for a kind that is none, and for an option that it has no use for."""
    if kind not in KINDS:
        raise ValueError(f"--kind {kind}: {suggest(kind, KINDS)}")
    if kind == "bigram" and order not in (None, 2):
        raise ValueError(f"--order {order}, but a bigram has two tokens: --kind kneser_ney has any order")
    if kind != "bigram" and order is not None and order < 1:
        raise ValueError(f"--order {order}: a gram has 1 token or more")
    if kind != "bigram" and add is not None:
        raise ValueError(f"--add {add}, but Kneser–Ney takes from counts what the text says: leave it out")


def texts(paths: tuple[str, ...], column: str) -> list[Document]:
    """The documents of files, folders and patterns."""
    return list(open_source("text", paths, column=column, say=note).documents())


def opened_tokenizer(name: str, train: list[Document], vocab: int) -> Tokenizer:
    """A folder's, or one of a kind, trained on the text that is counted."""
    found = named_tokenizer(name, "--tokenizer ")
    if found is not None:
        return found
    note(f"training a tokenizer ({name}) on {len(train):,} documents …")
    return train_tokenizer(name, (document.text for document in train), vocab)
