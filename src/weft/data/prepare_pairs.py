"""From words on a command line to pairs of texts for encoder–decoders."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from weft.batch import Tokenizer
from weft.data.blocks import Pairs
from weft.data.pairs import PAIR_SOURCES, Pair
from weft.data.prepared import DataSettings, Prepared
from weft.data.sources import SOURCES, Say
from weft.data.split import split_pairs
from weft.data.tokenizers import train_tokenizer

# Settings that say something of texts alone, and why pairs have no use for them.
_OF_TEXTS = {
    "column": "pairs have no columns to choose from",
    "weights": "pairs are not mixed",
    "rows": "each pair has rows of its own",
    "store": "pairs are not stored",
}


def open_pairs(settings: DataSettings) -> list[Pair]:
    """The pairs that the settings name. ValueError, naming the setting, for one that makes sense for texts only."""
    usual = DataSettings()
    for name, reason in _OF_TEXTS.items():
        value = getattr(settings, name)
        if value != getattr(usual, name):
            raise ValueError(f"data.{name}={value}, but {reason}: leave data.{name} out")
    settings.check()
    known = PAIR_SOURCES.names()
    if settings.source in SOURCES.names() and settings.source not in known:
        raise ValueError(
            f"data.source={settings.source} gives texts; this family reads pairs: use one of {', '.join(known)}"
        )
    return PAIR_SOURCES.get(settings.source)(settings.paths)


def prepare_pairs(
    settings: DataSettings, context: int, tokenizer: Tokenizer | None, say: Say, start: int | None = None
) -> Prepared:
    """Datasets of pairs, in memory; ValueError for settings or pairs that give none, see `open_pairs`."""
    found = open_pairs(settings)
    train, held_out = split_pairs(found, settings.held_out, settings.seed)
    check_held_out(settings, len(held_out))
    say(f"read {len(found):,} pairs; {len(held_out):,} of them held out")
    if tokenizer is None:
        texts = (text for pair in train for text in pair)
        tokenizer = train_tokenizer(settings.tokenizer, texts, settings.vocab)
        say(f"trained a tokenizer of {tokenizer.vocab:,} ids ({settings.tokenizer}) on both languages")
    rows_train, rows_held_out = (Pairs(side, tokenizer, context, start=start) for side in (train, held_out))
    dropped = rows_train.dropped + rows_held_out.dropped
    notices = (
        (f"{dropped:,} pairs are longer than the context of {context} tokens and were left out",) if dropped else ()
    )
    text = "".join(target for _, target in rows_held_out.pairs).encode()
    if not text:
        raise ValueError(
            f"the {len(rows_held_out):,} held-out pairs have empty targets: there is nothing to evaluate on"
        )
    other = [number for number in rows_train.around if number != tokenizer.end]  # a published model's
    size = sum(len(target) + 1 for _, target in rows_train.ids)
    held = sum(len(target) + 1 for _, target in rows_held_out.ids)
    say(f"{size:,} target tokens to train on, {held:,} held out")
    return Prepared(
        tokenizer=tokenizer,
        train=rows_train,
        held_out=rows_held_out,
        train_tokens=size,
        held_out_tokens=held,
        held_out_bytes=len(text),
        documents=(len(rows_train), len(rows_held_out)),
        digest=_digest([context, settings.seed, *other], rows_train.ids + rows_held_out.ids),
        notices=notices,
        text=text,
    )


def check_held_out(settings: DataSettings, count: int) -> None:
    """ValueError where nothing is held out."""
    if not count:
        raise ValueError(f"data.held_out={settings.held_out} leaves nothing to evaluate on: set it above 0, 0.1 say")


def _digest(numbers: Sequence[int], ids: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    state = hashlib.sha256(" ".join(map(str, numbers)).encode())
    for part in (side for pair in ids for side in pair):
        state.update(len(part).to_bytes(8, "little") + part.tobytes())  # the length: where one side ends is data too
    return state.hexdigest()
