"""Folders in the Hugging Face layout: what their config.json and tensors mean, and written again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from weft.batch import Tokenizer
from weft.hub.error import LoadError
from weft.hub.fields import Described, family_of, read_fields
from weft.hub.moves import MismatchError, Move, writing
from weft.hub.names import Settled, settle
from weft.hub.version import modern
from weft.hub.weights import Weights, some
from weft.models import FAMILIES, Blueprint
from weft.models.published import Published


@dataclass(frozen=True)
class Origin:
    """Where a model came from, for what saving keeps.

    config: config.json in the form of version 5; {} for weft's own layout. dtypes: of our tensors, as in the files.
    dead: tensors that nothing is computed with and that are kept, by the table's names. head: the one that answers by
    default, by our name; None: whichever there is. files: what else lay in the folder and belongs to the model, by
    name; tokenizer: what some of them were read as, so that another one is not saved as them.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    dtypes: Mapping[str, torch.dtype] = field(default_factory=dict)
    dead: Mapping[str, Tensor] = field(default_factory=dict)
    head: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    tokenizer: Tokenizer | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Of most tensors."""
        return Counter(self.dtypes.values()).most_common(1)[0][0] if self.dtypes else torch.float32


@dataclass(frozen=True)
class Plan:
    """A folder, understood but not yet read.

    names: the table's names -> the file's; for weft's own layout each its own. head, config, dead: as in `Origin`.
    notices: for people.
    """

    blueprint: Blueprint
    names: Mapping[str, str]
    head: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    dead: Mapping[str, Tensor] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    def moves(self, ours: Iterable[str]) -> list[Move]:
        """Where each of our tensors comes from."""
        if not self.config:
            return [Move(name, (name,)) for name in ours]
        return writing(FAMILIES.get(self.blueprint.family).table(self.blueprint.config), ours)


def describe(data: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], Described]:
    """A config.json in the form of version 5, and what it says. LoadError for what is not understood."""
    try:
        _refuse(data)
        fields = modern(data)
        return fields, read_fields(fields)
    except (ValueError, TypeError) as error:  # TypeError: a list where a name belongs, say
        raise LoadError(f"{path}: {error}") from error


def understand(fields: Mapping[str, Any], described: Described, weights: Weights, path: Path) -> Plan:
    """What the config at `path` and the names of the tensors say together. LoadError where they contradict."""
    family, declared = family_of(fields.get("model_type"), fields.get("architectures"))
    try:
        config = described.blueprint.config
        settled = settle(family, config, weights, _same(weights))
    except MismatchError as error:
        raise LoadError(f"{path.parent}: {error}") from error
    _has_head(declared, fields, settled, path)
    blueprint = replace(described.blueprint, config=settled.config)
    notices = described.notices + settled.notices + _code(fields, path.parent)
    unread = {name: file for name, file in settled.names.items() if name in described.dead}
    names = {name: file for name, file in settled.names.items() if name not in unread}
    dead = {name: weights[file] for name, file in (settled.dead | unread).items()}
    for spare in declared.spares:
        if spare.holds and spare.theirs in dead and not spare.holds(dead[spare.theirs]):
            raise LoadError(
                f"{path.parent}: {settled.dead[spare.theirs]} holds other numbers than {declared.model_type} computes "
                "itself: its answers would differ, so it is not read"
            )
    head = described.heads[0] if described.heads else None
    return Plan(blueprint, names, head, fields, dead, notices)


def _has_head(declared: Published, fields: Mapping[str, Any], settled: Settled, path: Path) -> None:
    """LoadError for a bare class whose head is not tied: it was never written."""
    name = (fields.get("architectures") or [""])[0]
    if name not in declared.bare:
        return
    for tie in declared.ties:
        apart = tie.flag and not getattr(settled.config, tie.flag)
        if apart and declared.classes[name] and tie.copy not in settled.names:
            raise LoadError(
                f"{path}: a {name} keeps no head ({tie.copy}), and the config ties none to the embedding, so that "
                f"nothing can be scored: take the folder of a {next(iter(declared.classes))}"
            )


def _refuse(data: Mapping[str, Any]) -> None:
    """ValueError for a folder whose weights are not what its tensors hold."""
    quantised = data.get("quantization_config")
    if quantised:
        how = quantised.get("quant_method", "?") if isinstance(quantised, dict) else quantised
        other = ", or what the reference library saves once it has loaded this one with dequantize=True"
        raise ValueError(
            f"the weights are quantised ({how}), which cannot be turned back exactly: take the folder they were made "
            f"from{other if how == 'mxfp4' else ''}"
        )


def _code(data: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Code that a folder brings is never run."""
    files = sorted(path.name for path in folder.glob("*.py"))
    named = ("config.json names code of its own (auto_map): it is ignored",) if data.get("auto_map") else ()
    return (*named, f"the folder brings code ({some(files)}): it is never run") if files else named


def _same(weights: Weights) -> Callable[[str, str], bool]:
    """Whether two tensors of the files are equal, bit for bit but for the sign of zero."""

    def same(one: str, other: str) -> bool:
        a, b = weights[one], weights[other]
        wide = torch.promote_types(a.dtype, b.dtype)
        return a.shape == b.shape and torch.equal(a.to(wide), b.to(wide))

    return same


def in_their_words(plan: Plan, text: str) -> str:
    """An error with what config.json calls the sizes of which it speaks."""
    declared = FAMILIES.get(plan.blueprint.family).published
    if declared is None or not plan.config:
        return text
    said, words, meant = text.removeprefix(f"{plan.blueprint.family}: "), dict[str, str](), dict[str, str]()
    inside = [getattr(plan.blueprint.config, inner.ours).family for inner in declared.inner]
    for own in (declared, *(FAMILIES.get(name).published for name in inside)):
        if own is not None:
            words |= {key.ours: key.theirs for key in own.keys} | dict(own.seam.words if own.seam else {})
            meant |= {key.ours: key.follows or key.ours for key in own.keys}  # a decoder's heads are called heads, too
    spoken = [ours for ours in words if re.search(rf"\b({ours}|{meant.get(ours, ours)})\b", said)]
    called = [f"{ours} is {words[ours]}" for ours in spoken if ours != words[ours]]
    return f"{text} (there, {', '.join(called)})" if called else text
