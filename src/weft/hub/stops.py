"""Which ids end what a model writes, and which one a decoder starts with, as a folder says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from weft.batch import Tokenizer
from weft.files import DamagedFile, read_json
from weft.hub.error import LoadError

FILE = "generation_config.json"
_ENDS, _START, _FORCED = "eos_token_id", "decoder_start_token_id", "forced_bos_token_id"


# What changes which tokens the reference would choose, and is not done here; what each means where it does nothing.
_UNHEARD = {
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "bad_words_ids": None,
    "forced_eos_token_id": None,
}


class Stops(NamedTuple):
    """ends: ids that end a text, of which there may be several (a turn's, the text's). start: what a decoder that reads
    a memory begins with; None where that is an end. forced: what follows it in any case (the language to translate
    into), and is not given out."""

    ends: tuple[int, ...] = ()
    start: int | None = None
    forced: int | None = None


def read_said(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """generation_config.json `with_ids` of config.json's. LoadError where it is damaged."""
    try:
        said = read_json(folder / FILE) if (folder / FILE).is_file() else {}
    except DamagedFile as error:
        raise LoadError(str(error)) from error
    if not isinstance(said, dict):
        raise LoadError(f"{folder / FILE} holds a {type(said).__name__}, not settings by name")
    return with_ids(said, config)


def with_ids(said: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """What generation_config.json says, and of what ends and starts a text config.json's word where it has none: weft's
    own layout, whose config.json says nothing of them, keeps them so."""
    told = {name: config[name] for name in (_ENDS, _START, _FORCED) if config.get(name) is not None}
    return told | {name: value for name, value in said.items() if name not in told or value is not None}


def read_stops(
    folder: Path, config: Mapping[str, Any], tokenizer: Tokenizer | None, vocab: int, say: Callable[[str], None]
) -> Stops:
    """generation_config.json's word, else config.json's, and the tokenizer's end. An id that is none of the model's
    (a tiny model with a large one's defaults) is said, and left out."""
    said = read_said(folder, config)
    ends = said.get(_ENDS)
    ends = [] if ends is None else ends if isinstance(ends, list) else [ends]

    def known(number: object, role: str) -> bool:
        there = type(number) is int and 0 <= number < vocab
        if not there:
            say(f"{role} is {number!r}, which is no id of the model's (0 to {vocab - 1}): it is left out")
        return there

    unheard = [name for name, none in _UNHEARD.items() if said.get(name, none) not in (none, None, [])]
    if unheard:
        say(f"the folder asks for {', '.join(unheard)}, which generate does not do: its tokens will differ")
    own = [] if tokenizer is None else [tokenizer.end]
    kept = [number for number in ends if known(number, _ENDS)]
    start, forced = (said[n] if said.get(n) is not None and known(said[n], n) else None for n in (_START, _FORCED))
    return Stops(tuple(dict.fromkeys([*own, *kept])), start, forced)
