"""Which ids end what a model writes, and which one a decoder starts with, as a folder says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from weft.batch import Tokenizer
from weft.files import DamagedFile, read_json
from weft.hub.error import LoadError

FILE = "generation_config.json"


class Stops(NamedTuple):
    """ends: ids that end a text, of which there may be several (a turn's, the text's). start: what a decoder that reads
    a memory begins with; None where that is an end."""

    ends: tuple[int, ...] = ()
    start: int | None = None


def read_stops(
    folder: Path, config: Mapping[str, Any], tokenizer: Tokenizer | None, vocab: int, say: Callable[[str], None]
) -> Stops:
    """generation_config.json's word, else config.json's, and the tokenizer's end. An id that is none of the model's
    (a tiny model with a large one's defaults) is said, and left out."""
    try:
        said = read_json(folder / FILE) if (folder / FILE).is_file() else {}
    except DamagedFile as error:
        raise LoadError(str(error)) from error
    if not isinstance(said, dict):
        raise LoadError(f"{folder / FILE} holds a {type(said).__name__}, not settings by name")
    said = {**config, **{name: value for name, value in said.items() if value is not None}}
    ends = said.get("eos_token_id")
    ends = [] if ends is None else ends if isinstance(ends, list) else [ends]
    start = said.get("decoder_start_token_id")

    def known(number: object, role: str) -> bool:
        there = type(number) is int and 0 <= number < vocab
        if not there:
            say(f"{role} is {number!r}, which is no id of the model's (0 to {vocab - 1}): it is left out")
        return there

    own = [] if tokenizer is None else [tokenizer.end]
    kept = [number for number in ends if known(number, "eos_token_id")]
    begins = start is not None and known(start, "decoder_start_token_id")
    return Stops(tuple(dict.fromkeys([*own, *kept])), start if begins else None)
