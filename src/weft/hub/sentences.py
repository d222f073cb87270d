"""Sentence vectors: what a folder in the sentence-transformers layout declares, and how states become vectors."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# What a folder's modules.json names, by the last word of each module's type; any other is not understood.
BATCH = 4096  # tokens of a pass
_UNDERSTOOD = ("Transformer", "Pooling", "Normalize")
# Their words in the older form of Pooling's config, one switch each.
_SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


def _first(states: Tensor, real: Tensor) -> Tensor:
    return states[:, 0]  # [B, D]


def _last(states: Tensor, real: Tensor) -> Tensor:
    last = real.sum(dim=1).long() - 1  # [B]
    return states[torch.arange(len(states), device=states.device), last]  # [B, D]


def _max(states: Tensor, real: Tensor) -> Tensor:
    return states.masked_fill(real[..., None] == 0, -torch.inf).amax(dim=1)  # [B, D]


def _mean(states: Tensor, real: Tensor) -> Tensor:
    return _sum(states, real) / real.sum(dim=1, keepdim=True)  # [B, D]


def _mean_root(states: Tensor, real: Tensor) -> Tensor:
    return _sum(states, real) / real.sum(dim=1, keepdim=True).sqrt()  # [B, D]


def _weighted(states: Tensor, real: Tensor) -> Tensor:
    weight = real * torch.arange(1, real.shape[1] + 1, device=real.device)  # [B, T]
    return _sum(states, weight) / weight.sum(dim=1, keepdim=True)  # [B, D]


def _sum(states: Tensor, weight: Tensor) -> Tensor:
    return (weight[:, None] @ states)[:, 0]  # [B, D]


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": _first,
    "lasttoken": _last,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_root,
    "weightedmean": _weighted,
}


@dataclass(frozen=True)
class Pooling:
    """How a sentence's vector is made of its tokens' states (Reimers & Gurevych 2019).

    modes:     of `POOLINGS`; of several, the vectors are laid side by side.
    normalise: to length 1.
    longest:   tokens of a sentence at the most, those that are put around it included; None: the model's context.
    prompt:    what is put before each text.
    ValueError for a mode that does not exist.
    """

    modes: tuple[str, ...] = ("mean",)
    normalise: bool = False
    longest: int | None = None
    prompt: str = ""

    def __post_init__(self) -> None:
        unknown = [mode for mode in self.modes if mode not in POOLINGS]
        if unknown or not self.modes:
            raise ValueError(f"pooling is by {unknown or 'nothing'}; there are {', '.join(POOLINGS)}")

    def pool(self, states: Tensor, lengths: Tensor) -> Tensor:
        """States [B, T, D] of rows of `lengths` [B], none empty, padded on the right -> fp32 [B, D · modes]."""
        states = states.float()
        real = (torch.arange(states.shape[1], device=states.device) < lengths[:, None]).float()  # [B, T]
        vectors = torch.cat([POOLINGS[mode](states, real) for mode in self.modes], dim=-1)  # [B, D · modes]
        return functional.normalize(vectors, dim=-1) if self.normalise else vectors


def read_pooling(files: Mapping[str, bytes]) -> Pooling | None:
    """What the files of a folder declare; None where they declare nothing. ValueError for what is not understood."""
    modules = _json(files, "modules.json", [])
    if not modules:
        return None
    kinds = [str(module.get("type", "")).rpartition(".")[2] if isinstance(module, dict) else "?" for module in modules]
    strange = [kind for kind in kinds if kind not in _UNDERSTOOD]
    if strange or kinds[:2] != ["Transformer", "Pooling"]:
        raise ValueError(f"modules.json asks for {', '.join(kinds)}; understood is Transformer, Pooling, Normalize")
    name = f"{modules[1].get('path', '1_Pooling')}/config.json"
    declared = _json(files, name, {})
    if not declared:
        raise ValueError(f"modules.json names {name}, which is not there")
    told, general = _json(files, "sentence_bert_config.json", {}), _json(files, "config_sentence_transformers.json", {})
    prompts, chosen = general.get("prompts") or {}, general.get("default_prompt_name")
    if chosen is not None and chosen not in prompts:
        raise ValueError(f"the default prompt is {chosen!r}; there are {', '.join(prompts) or 'none'}")
    if chosen is not None and prompts[chosen] and not declared.get("include_prompt", True):
        raise ValueError("include_prompt is false: leaving the prompt's tokens out of the pooling is not understood")
    longest = told.get("max_seq_length") or _json(files, "tokenizer_config.json", {}).get("model_max_length")
    if longest is not None and (type(longest) is not int or longest < 1):
        raise ValueError(f"the longest sentence is {longest!r} tokens: at least 1")
    return Pooling(_modes(declared), "Normalize" in kinds, longest, "" if chosen is None else prompts[chosen])


def _modes(declared: Mapping[str, Any]) -> tuple[str, ...]:
    """The modes in either form of Pooling's config."""
    modes = declared.get("pooling_mode")
    if modes is None:
        return tuple(mode for switch, mode in _SWITCHES.items() if declared.get(switch))
    return (modes,) if isinstance(modes, str) else tuple(modes)


def _json(files: Mapping[str, bytes], name: str, default: Any) -> Any:
    """The data of a file; the default where it is not there. ValueError where it is not JSON of the default's type."""
    if name not in files:
        return default
    try:
        data = json.loads(files[name])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not JSON: {error}") from error
    if not isinstance(data, type(default)):
        raise ValueError(f"{name} holds a {type(data).__name__}, not a {type(default).__name__}")
    return data


def vectors(
    encode: Callable[[Tensor, Tensor | None], Tensor],
    rows: Sequence[tuple[Sequence[int], Sequence[int]]],
    pooling: Pooling,
    batch: int,
    device: torch.device,
    advance: Callable[[int], None],
) -> Tensor:
    """The vectors of rows of (ids, types), fp32 [N, D] in their order.

    encode: (tokens, types) int64 [B, T] -> states [B, T, D]. Rows of one length go together, at most `batch` tokens at
    a time: nothing is padded, so nothing has to be hidden, and a row's vector does not depend on its company. advance:
    hears how many rows more are done.
    """
    found: list[Tensor | None] = [None] * len(rows)
    for group in groups([len(ids) for ids, _ in rows], batch):
        tokens = torch.tensor([rows[number][0] for number in group], device=device)  # [B, T]
        types = torch.tensor([rows[number][1] for number in group], device=device)  # [B, T]
        states = encode(tokens, types if types.any() else None)  # [B, T, D]
        lengths = torch.full((len(group),), tokens.shape[1], device=device)
        for number, vector in zip(group, pooling.pool(states, lengths), strict=True):
            found[number] = vector
        advance(len(group))
    return torch.stack([vector for vector in found if vector is not None]) if found else torch.zeros(0, 0)


def groups(lengths: Sequence[int], batch: int) -> Iterator[list[int]]:
    """Numbers of rows of equal length, the longest first, in groups of at most `batch` tokens and at least one row."""
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    for length, equal in itertools.groupby(order, key=lambda number: lengths[number]):
        numbers = list(equal)
        size = max(1, batch // max(length, 1))
        for start in range(0, len(numbers), size):
            yield numbers[start : start + size]
