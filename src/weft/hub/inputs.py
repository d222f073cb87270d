"""What a model is asked with, checked before it is asked."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from weft.nn import Decoder, Encoder, EncoderDecoder, Layout, Writer
from weft.nn.vectors import CTCHead


def at_least_one(name: str, number: int) -> None:
    """ValueError for a number below 1."""
    if number < 1:
        raise ValueError(f"{name} = {number}, but it must be at least 1")


def nothing(module: nn.Module, family: str, **given: object) -> None:
    """ValueError where something is given that has no business with this kind of model."""
    for name, value in given.items():
        if value is not None:
            kind = type(module).__name__
            raise ValueError(f"{name} is given, but a model of family {family!r} ({kind}) takes none")


def ragged(tokens: Tensor, lengths: Tensor | None) -> Layout | None:
    """Where rows [B, T] of these lengths [B] sit. ValueError for lengths that are none of theirs."""
    if lengths is None:
        return None
    (rows, width), lengths = tokens.shape[:2], torch.as_tensor(lengths, device=tokens.device)
    if lengths.shape != (rows,) or bool(((lengths < 0) | (lengths > width)).any()):
        raise ValueError(f"lengths are {lengths.tolist()}, but there are {rows} rows of {width} tokens: one for each")
    return Layout.ragged(lengths, width)


def written_vocab(module: nn.Module, config: Any) -> int:
    """How many ids a model writes: those of an encoder–decoder's two sides may be of two languages, and those of one
    that hears are its labels."""
    if isinstance(module, Writer):
        return module.stem.vocab
    heads = module.heads.values() if isinstance(module, Encoder) else ()
    return next((head.labels for head in heads if isinstance(head, CTCHead)), config.vocab)


def check_ids(vocab: int, **given: Tensor | None) -> None:
    """ValueError for what are no rows of the model's ids."""
    for name, ids in given.items():
        if ids is None:
            continue
        if ids.ndim != 2 or ids.is_floating_point() or ids.numel() == 0:
            raise ValueError(f"{name} are {ids.dtype} {list(ids.shape)}, but ids are int64 [rows, length], none empty")
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= vocab:
            raise ValueError(f"{name} go from {low} to {high}, but the model's ids are 0 to {vocab - 1}")


def check_rows(module: nn.Module, vocab: int, tokens: Tensor) -> None:
    """ValueError for what are no rows as the model reads them: ids, or, where its stem reads none, vectors."""
    stem = module.embed if isinstance(module, Decoder | Encoder | EncoderDecoder) else None
    if stem is None or stem.vocab:
        check_ids(vocab, tokens=tokens)
        return
    if tokens.ndim != 3 or not tokens.is_floating_point() or tokens.shape[-1] != stem.channels or not tokens.numel():
        raise ValueError(
            f"tokens are {tokens.dtype} {list(tokens.shape)}, but this model reads vectors [rows, places, "
            f"{stem.channels}], none empty: model.rows makes them of signals"
        )
