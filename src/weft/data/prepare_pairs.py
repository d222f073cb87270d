"""From words on a command line to pairs of texts for encoder–decoders."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from weft.batch import Tokenizer
from weft.data.blocks import Pairs
from weft.data.columns import read_pair_tables
from weft.data.directions import asked_languages, asking, read_directions
from weft.data.names import Side
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
    """The pairs of a registered source. ValueError, naming the setting, for one that makes sense for texts only."""
    _check(settings)
    known = PAIR_SOURCES.names()
    if settings.source in SOURCES.names() and settings.source not in known:
        raise ValueError(
            f"data.source={settings.source} gives texts; this family reads pairs: use one of {', '.join(known)}"
        )
    return PAIR_SOURCES.get(settings.source)(settings.paths)


def _check(settings: DataSettings) -> None:
    usual = DataSettings()
    for name, reason in _OF_TEXTS.items():
        value = getattr(settings, name)
        if value != getattr(usual, name):
            raise ValueError(f"data.{name}={value}, but {reason}: leave data.{name} out")
    settings.check()


def _sides(settings: DataSettings) -> tuple[list[Pair], list[Pair], list[str]]:
    """What is trained on, what is held out, and what a person should know of it."""
    found, said = _named(settings), list[str]()
    train, held_out = (open_pairs(settings), []) if found is None else (found[Side.TRAIN], found[Side.HELD_OUT])
    if not held_out:
        return *split_pairs(train, settings.held_out, settings.seed), said
    said.append(f"the pairs come split by their files' names: data.held_out={settings.held_out} is not used")
    known = {source for source, _ in train}
    new = [pair for pair in held_out if pair[0] not in known]
    if not new:
        raise ValueError(
            f"all {len(held_out):,} held-out sources in {settings.paths[0]} are among those to train on too"
        )
    if len(new) < len(held_out):
        said.append(f"{len(held_out) - len(new):,} held-out sources are among those to train on too, and were left out")
    return train, new, said


def _named(settings: DataSettings) -> dict[Side, list[Pair]] | None:
    """The pairs of files whose names say what they are for; None for a source that says nothing of it."""
    if settings.prefixes and not settings.columns:
        raise ValueError("data.prefixes are of tables: name the source's and the target's column by data.columns=a,b")
    if not settings.directions and not settings.columns:
        return None
    _check(settings)
    if settings.columns and settings.directions:
        raise ValueError("data.columns are of tables and data.directions of a folder of texts: give one of them")
    if settings.source != "pairs" or not settings.paths or (settings.directions and len(settings.paths) > 1):
        name, what = ("directions", "one folder") if settings.directions else ("columns", "tables")
        raise ValueError(
            f"data.{name}={','.join(settings.directions or settings.columns)} are of {what}, and data.source="
            f"{settings.source} with {len(settings.paths)} paths was given: --data PATH"
        )
    if settings.columns:
        return read_pair_tables(settings.paths, settings.columns, settings.prefixes)
    return read_directions(Path(*settings.paths), settings.directions)


def asked_by(settings: DataSettings) -> dict[str, str]:
    """What sources begin with to ask for something, and what it is called: a language, or a task's prefix."""
    languages = {asking(language): f"into {language}" for language in asked_languages(settings.directions)}
    return languages | {prefix: prefix for prefix in dict.fromkeys(settings.prefixes) if prefix}


def prepare_pairs(
    settings: DataSettings, context: int, tokenizer: Tokenizer | None, say: Say, begins: Sequence[int] = ()
) -> Prepared:
    """Datasets of pairs, in memory; ValueError for settings or pairs that give none, see `open_pairs`."""
    train, held_out, said = _sides(settings)
    check_held_out(settings, len(held_out))
    say(f"read {len(train) + len(held_out):,} pairs; {len(held_out):,} of them held out")
    if tokenizer is None:
        texts = (text for pair in train for text in pair)
        words = [asking(language) for language in asked_languages(settings.directions)]
        tokenizer = train_tokenizer(settings.tokenizer, texts, settings.vocab, words=words)
        say(f"trained a tokenizer of {tokenizer.vocab:,} ids ({settings.tokenizer}) on both languages")
    rows_train = Pairs(train, tokenizer, context, begins=begins, alike=settings.alike)
    rows_held_out = Pairs(held_out, tokenizer, context, begins=begins)
    if dropped := rows_train.dropped + rows_held_out.dropped:
        said.append(f"{dropped:,} pairs are longer than the context of {context} tokens and were left out")
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
        digest=_digest(
            [context, settings.seed, *([settings.alike] if settings.alike else []), *other],
            rows_train.ids + rows_held_out.ids,
        ),
        notices=tuple(said),
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
