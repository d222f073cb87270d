"""From words on a command line to datasets: read, split, train a tokenizer, cut into rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from weft.batch import Tokenizer
from weft.data.blocks import Blocks, Pairs, stream
from weft.data.made import made_pairs
from weft.data.pairs import Pair, read_pairs
from weft.data.sources import Document, open_source
from weft.data.split import split, split_pairs
from weft.data.tokenizers import train_tokenizer

MOST_IDS = 10_000_000  # of a vocabulary; the tokenizers library sets room aside for all, and aborts where it cannot


@dataclass(frozen=True)
class DataSettings:
    """What is read, and how it becomes rows."""

    source: str = "text"  # a registered source; "pairs" and "made_pairs" for encoder–decoders
    paths: tuple[str, ...] = ()
    tokenizer: str = "bpe"  # a registered kind of tokenizer
    vocab: int = 4096  # most ids the tokenizer may have
    held_out: float = 0.1  # share of the documents that is never trained on
    seed: int = 0  # of the split
    isolate: bool = False  # rows hold several documents that do not see one another; else one stream, cut into rows


@dataclass(frozen=True)
class Prepared:
    """Datasets, and what a person should know of them.

    valid_bytes: UTF-8 bytes of the held-out text; valid_text is that text, documents joined.
    digest: of every token on both sides and of the settings: equal digests mean equal rows.
    """

    tokenizer: Tokenizer
    train: Blocks | Pairs
    valid: Blocks | Pairs
    train_tokens: int
    valid_tokens: int
    valid_bytes: int
    valid_text: bytes
    documents: tuple[int, int]
    digest: str
    notices: tuple[str, ...] = ()


Say = Callable[[str], None]


def prepare(
    settings: DataSettings,
    context: int,
    *,
    pairs: bool,
    tokenizer: Tokenizer | None = None,
    say: Say = lambda text: None,
) -> Prepared:
    """Datasets of rows of `context` tokens. A given tokenizer is used as it is (a resumed run's own)."""
    if context < 1:
        raise ValueError(f"rows of {context} tokens hold nothing: set model.context to 1 or more")
    if not 0 <= settings.vocab <= MOST_IDS:
        raise ValueError(f"data.vocab={settings.vocab}, but it must be between 0 and {MOST_IDS:,}")
    if pairs:
        return _prepare_pairs(settings, context, tokenizer, say)
    if settings.source in ("pairs", "made_pairs"):
        raise ValueError(f"data.source={settings.source} gives pairs; this family reads one text: use another source")
    if settings.source == "text" and not all(settings.paths or [""]):
        raise ValueError("no data: name files, folders or patterns with --data")
    documents = list(open_source(settings.source, settings.paths).documents())
    train, valid = split(documents, settings.held_out, settings.seed)
    _check_held_out(settings, len(valid))
    size = sum(len(document.text) for document in documents)
    say(f"read {len(documents):,} documents of {size:,} characters; {len(valid):,} of them held out")
    if tokenizer is None:
        tokenizer = train_tokenizer(settings.tokenizer, (document.text for document in train), settings.vocab)
        say(f"trained a tokenizer of {tokenizer.vocab:,} ids ({settings.tokenizer}) on the training side")
    ids, held = _stream(train, tokenizer), _stream(valid, tokenizer)
    text = "".join(document.text for document in valid).encode()
    say(f"{len(ids):,} tokens to train on, {len(held):,} held out ({len(text):,} bytes)")
    return Prepared(
        tokenizer=tokenizer,
        train=Blocks(ids, context, seed=settings.seed, isolate=settings.isolate, end=tokenizer.end),
        valid=Blocks(held, context, shift=False, isolate=settings.isolate, end=tokenizer.end),
        train_tokens=len(ids),
        valid_tokens=len(held),
        valid_bytes=len(text),
        valid_text=text,
        documents=(len(train), len(valid)),
        digest=_digest(settings, context, (ids, held)),
    )


def rows(
    documents: Sequence[Document], tokenizer: Tokenizer, context: int, *, isolate: bool = False
) -> tuple[Blocks, int]:
    """Documents as evaluation rows, and their UTF-8 bytes."""
    size = sum(len(document.text.encode()) for document in documents)
    return Blocks(_stream(documents, tokenizer), context, shift=False, isolate=isolate, end=tokenizer.end), size


def _stream(documents: Sequence[Document], tokenizer: Tokenizer) -> np.ndarray:
    """`stream`; ValueError also names the document that the tokenizer cannot spell."""
    try:
        return stream(documents, tokenizer)
    except ValueError:
        for document in documents:
            try:
                tokenizer.encode(document.text)
            except ValueError as error:
                raise ValueError(f"{document.name}: {error}") from error
        raise


def open_pairs(settings: DataSettings) -> list[Pair]:
    """The pairs that the settings name."""
    if settings.source == "made_pairs":
        return made_pairs()
    if not 1 <= len(settings.paths) <= 2:
        raise ValueError(
            f"pairs come from two line-aligned files or one TSV of two columns, and {len(settings.paths)} paths were "
            "given: --data source.txt --data target.txt, or --data pairs.tsv"
        )
    return read_pairs(*settings.paths)


def _prepare_pairs(settings: DataSettings, context: int, tokenizer: Tokenizer | None, say: Say) -> Prepared:
    found = open_pairs(settings)
    train, valid = split_pairs(found, settings.held_out, settings.seed)
    _check_held_out(settings, len(valid))
    say(f"read {len(found):,} pairs; {len(valid):,} of them held out")
    if tokenizer is None:
        texts = (text for pair in train for text in pair)
        tokenizer = train_tokenizer(settings.tokenizer, texts, settings.vocab)
        say(f"trained a tokenizer of {tokenizer.vocab:,} ids ({settings.tokenizer}) on both languages")
    rows_train, rows_valid = Pairs(train, tokenizer, context), Pairs(valid, tokenizer, context)
    dropped = rows_train.dropped + rows_valid.dropped
    notices = (
        (f"{dropped:,} pairs are longer than the context of {context} tokens and were left out",) if dropped else ()
    )
    text = "".join(target for _, target in rows_valid.pairs).encode()
    if not text:
        raise ValueError(f"the {len(rows_valid):,} held-out pairs have empty targets: there is nothing to evaluate on")
    size = sum(len(target) + 1 for _, target in rows_train.ids)
    held = sum(len(target) + 1 for _, target in rows_valid.ids)
    say(f"{size:,} target tokens to train on, {held:,} held out")
    return Prepared(
        tokenizer=tokenizer,
        train=rows_train,
        valid=rows_valid,
        train_tokens=size,
        valid_tokens=held,
        valid_bytes=len(text),
        valid_text=text,
        documents=(len(rows_train), len(rows_valid)),
        digest=_digest(settings, context, [side for pair in rows_train.ids + rows_valid.ids for side in pair]),
        notices=notices,
    )


def _check_held_out(settings: DataSettings, count: int) -> None:
    if not count:
        raise ValueError(f"data.held_out={settings.held_out} leaves nothing to evaluate on: set it above 0, 0.1 say")


def _digest(settings: DataSettings, context: int, tokens: Sequence[np.ndarray]) -> str:
    state = hashlib.sha256(f"{context} {settings.isolate} {settings.seed}".encode())
    for part in tokens:
        state.update(np.ascontiguousarray(part).tobytes())
    return state.hexdigest()
