"""`weft verify`: what can be proved of a folder of weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.files import digest
from weft.hub.against import Comparison, compare
from weft.hub.fill import finite
from weft.hub.model import Model
from weft.hub.probe import Fingerprint, fingerprint, probe_for
from weft.hub.source import find
from weft.hub.transfer import load
from weft.hub.weights import Weights, open_weights
from weft.models import FAMILIES
from weft.nn import Embed, LMHead
from weft.settings import to_data

TOLERANCE = 1e-4


@dataclass(frozen=True)
class File:
    """A file of weights."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class TieFacts:
    """Two names for what may be one tensor. file: "one" of them is in the file, or both, "equal" or "different". one:
    whether the model has one tensor for both."""

    copy: str
    original: str
    file: str
    one: bool


@dataclass(frozen=True)
class Verified:
    """What was proved. Loading was strict: every tensor of the files has its place in the model, and the reverse.

    tensors:     in the files; parameters: in the model, tied ones once; dtypes: how many tensors have each.
    not_finite:  tensors with a weight that is no finite number.
    shared:      tables of the model that own no weight and read another's.
    tokenizer:   how many ids it has, None without one; embedding: how many rows.
    fingerprint: see `Fingerprint`.
    against:     the comparison with another library, where it was asked for.
    """

    folder: str
    family: str
    files: tuple[File, ...]
    tensors: int
    parameters: int
    dtypes: dict[str, int]
    not_finite: tuple[str, ...]
    ties: tuple[TieFacts, ...]
    shared: tuple[str, ...]
    tokenizer: int | None
    embedding: int
    fingerprint: Fingerprint
    notices: tuple[str, ...]
    against: Comparison | None = None

    @property
    def good(self) -> bool:
        """Every weight is a number, and nothing is off."""
        return not self.not_finite and (self.against is None or self.against.first_off is None)

    def to_data(self) -> dict[str, Any]:
        """Plain data, for JSON; differences that are no finite numbers are null there."""
        data: dict[str, Any] = to_data(self) | {"good": self.good}
        for row in (data["against"] or {}).get("rows", []):
            row["difference"] = row["difference"] if math.isfinite(row["difference"]) else None
        return data


def verify(path: str | Path, *, against: str | None = None, tolerance: float = TOLERANCE) -> Verified:
    """Load a folder strictly, and say what that proves.

    against:   a library to compare with, layer by layer: "transformers".
    tolerance: largest difference from it, in standard deviations of its tensor.

    LoadError where the folder cannot be loaded; ValueError for a library that is not there.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance = {tolerance}, but two computations are never equal to the bit: it is above 0")
    folder = find(path)
    model, weights = load(folder), open_weights(folder)
    probe = probe_for(model)
    logits = probe.logits(model)
    return Verified(
        folder=str(path),
        family=model.blueprint.family,
        files=tuple(File(file.name, file.stat().st_size, digest(file)) for file in weights.files),
        tensors=len(weights),
        parameters=sum(parameter.numel() for parameter in model.module.parameters()),
        dtypes=weights.dtypes,
        not_finite=tuple(name for name in weights if not finite(weights[name])),
        ties=_ties(model, weights),
        shared=_shared(model),
        tokenizer=None if model.tokenizer is None else model.tokenizer.vocab,
        embedding=model.config.vocab,
        fingerprint=fingerprint(logits, probe.kept(logits)),
        notices=model.notices,
        against=None if against is None else compare(model, folder, probe, against, tolerance),
    )


def _ties(model: Model, weights: Weights) -> tuple[TieFacts, ...]:
    """The ties that the family declares, as the files and the model have them."""
    declared = FAMILIES.get(model.blueprint.family).published
    if declared is None or not model.origin.config:
        return ()
    found = []
    for tie in declared.ties:
        held = {name: {name, name.removeprefix(declared.prefix)} & set(weights) for name in (tie.copy, *tie.originals)}
        original = next((name for name in tie.originals if held[name]), tie.originals[-1])
        both = [*held[tie.copy], *held[original]]
        if not both:
            continue
        same = len(both) == 2 and weights[both[0]].equal(weights[both[1]])
        there = "one" if len(both) == 1 else "equal" if same else "different"
        found.append(TieFacts(tie.copy, original, there, getattr(model.config, tie.flag) if tie.flag else True))
    return tuple(found)


def _shared(model: Model) -> tuple[str, ...]:
    """Tables without a weight."""
    tables = [(name, part) for name, part in model.module.named_modules() if isinstance(part, Embed | LMHead)]
    return tuple(name for name, table in tables if table.weight is None)
