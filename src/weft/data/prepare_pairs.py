"""From words on a command line to pairs of texts for encoder–decoders."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from weft.batch import Tokenizer
from weft.data.blocks import Pairs
from weft.data.made import made_pairs
from weft.data.pairs import Pair, read_pairs
from weft.data.prepared import DataSettings, Prepared
from weft.data.sources import Say
from weft.data.split import split_pairs
from weft.data.tokenizers import train_tokenizer


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


def prepare_pairs(settings: DataSettings, context: int, tokenizer: Tokenizer | None, say: Say) -> Prepared:
    """Datasets of pairs, in memory; ValueError for settings that only make sense for text."""
    if settings.weights or settings.store:
        raise ValueError("pairs are neither mixed nor stored: leave out data.weights and data.store")
    found = open_pairs(settings)
    train, valid = split_pairs(found, settings.held_out, settings.seed)
    check_held_out(settings, len(valid))
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
        documents=(len(rows_train), len(rows_valid)),
        digest=_digest(settings, context, [side for pair in rows_train.ids + rows_valid.ids for side in pair]),
        notices=notices,
        text=text,
    )


def check_held_out(settings: DataSettings, count: int) -> None:
    """ValueError where nothing is held out."""
    if not count:
        raise ValueError(f"data.held_out={settings.held_out} leaves nothing to evaluate on: set it above 0, 0.1 say")


def _digest(settings: DataSettings, context: int, tokens: Sequence[np.ndarray]) -> str:
    state = hashlib.sha256(f"{context} {settings.rows} {settings.seed}".encode())
    for part in tokens:
        state.update(len(part).to_bytes(8, "little") + part.tobytes())  # the length: where one side ends is data too
    return state.hexdigest()
