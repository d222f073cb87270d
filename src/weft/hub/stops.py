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


# What says nothing where it has this value, or none: first what whoever calls generate decides, then what is not done.
_CALLERS = {
    "do_sample": False, "temperature": 1.0, "top_k": 50, "top_p": 1.0, "num_beams": 1, "length_penalty": 1.0,
    "early_stopping": False, "max_length": 20, "max_new_tokens": None,
}  # fmt: skip
_UNDONE = {
    "repetition_penalty": 1.0, "encoder_repetition_penalty": 1.0, "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0, "min_length": 0, "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0,
    "num_beam_groups": 1, "diversity_penalty": 0.0, "remove_invalid_values": False, "renormalize_logits": False,
}  # fmt: skip
# What changes no token here: how the reference computes, and what else it returns.
_SILENT = {
    _ENDS, _START, _FORCED, "bos_token_id", "pad_token_id", "transformers_version", "_from_model_config", "use_cache",
    "cache_implementation", "cache_config", "return_dict_in_generate", "output_attentions", "output_hidden_states",
    "output_scores", "output_logits", "num_return_sequences", "disable_compile", "compile_config", "low_memory",
    "prompt_lookup_num_tokens", "max_matching_ngram_size", "num_assistant_tokens", "num_assistant_tokens_schedule",
    "assistant_confidence_threshold", "assistant_early_exit", "assistant_lookbehind", "target_lookbehind",
    "is_assistant", "prefill_chunk_size",
}  # fmt: skip


class Stops(NamedTuple):
    """ends: ids that end a text, of which there may be several (a turn's, the text's). start: what a decoder that reads
    a memory begins with; None where that is an end. forced: what follows it in any case (the language to translate
    into), and is not given out."""

    ends: tuple[int, ...] = ()
    start: int | None = None
    forced: int | None = None

    def begins(self, end: int) -> tuple[int, ...]:
        """The ids that every target of a decoder that reads a memory begins with."""
        return (end if self.start is None else self.start, *(() if self.forced is None else (self.forced,)))


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
    (a tiny model with a large one's defaults) is said, and left out; LoadError for what is no id at all."""
    said = read_said(folder, config)
    ends = said.get(_ENDS)
    ends = [] if ends is None else ends if isinstance(ends, list) else [ends]

    def known(number: object, role: str) -> bool:
        if type(number) is not int:
            file = "config.json" if config.get(role) == said[role] else FILE
            raise LoadError(f"{folder / file}: {role} is {said[role]!r}, but an id is a whole number")
        there = 0 <= number < vocab
        if not there:
            say(f"{role} is {number!r}, which is no id of the model's (0 to {vocab - 1}): it is left out")
        return there

    for text in _unheard(said):
        say(text)
    own = [] if tokenizer is None else [tokenizer.end]
    kept = [number for number in ends if known(number, _ENDS)]
    start, forced = (said[n] if said.get(n) is not None and known(said[n], n) else None for n in (_START, _FORCED))
    return Stops(tuple(dict.fromkeys([*own, *kept])), start, forced)


def _unheard(said: Mapping[str, Any]) -> list[str]:
    """What generation_config.json asks for and is not taken from it, in words; nothing where there is nothing."""

    def speaks(name: str, silent: Any = None) -> bool:
        value = said.get(name)
        return value is not None and value != [] and value != silent

    callers = [f"{name} = {said[name]}" for name, silent in _CALLERS.items() if speaks(name, silent)]
    others = [name for name in said if name not in _SILENT and name not in _CALLERS]
    undone = [name for name in others if speaks(name, _UNDONE.get(name))]
    found = []
    if callers:
        found.append(f"the folder suggests {', '.join(callers)}: generate takes only what it is called with")
    if undone:
        found.append(f"the folder asks for {', '.join(undone)}, which generate does not do: its tokens will differ")
    return found
