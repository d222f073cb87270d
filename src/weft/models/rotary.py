"""Rotary positions as published folders say them: `rope_parameters`, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from weft.models.published import Read, Seam
from weft.nn import RopeScheme, Scheme
from weft.nn.rope import AnyScaling, Dynamic, Linear, Llama3, Yarn


@dataclass(frozen=True)
class _Form:
    """A scaling in their words. numbers: theirs -> ours; those in `needed` must be there."""

    kind: type[Any]
    numbers: Mapping[str, str]
    needed: tuple[str, ...]


_ORIGINAL = "original_max_position_embeddings"
_LONGEST = "max_position_embeddings"
_FORMS = {
    "linear": _Form(Linear, {"factor": "factor"}, ("factor",)),
    "dynamic": _Form(Dynamic, {"factor": "factor"}, ("factor",)),
    "yarn": _Form(
        Yarn,
        {
            "factor": "factor",
            _ORIGINAL: "original",
            "beta_fast": "fast",
            "beta_slow": "slow",
            "truncate": "truncate",
            "attention_factor": "attention_factor",
            "mscale": "mscale",
            "mscale_all_dim": "mscale_all_dim",
        },
        (),
    ),
    "llama3": _Form(
        Llama3,
        {"factor": "factor", _ORIGINAL: "original", "low_freq_factor": "low", "high_freq_factor": "high"},
        ("factor", "low_freq_factor", "high_freq_factor"),
    ),
}


def rope(theta: float, longest: int, *, part: str = "") -> Seam:
    """The seam of a family with a field `theta` and a `context`; `theta` and `longest` are what missing ones mean.
    part: the field of ours for the share of a head that turns; "": all of it does."""
    own = ("theta", part) if part else ("theta",)
    return Seam(("rope_parameters",), own, partial(_read, theta, longest, part), partial(_write, part))


def _read(theta: float, longest: int, part: str, fields: Mapping[str, Any]) -> Read:
    """theta, and a scheme in place of the family's own where frequencies are scaled."""
    given = dict(fields.get("rope_parameters", {}))
    kind, theta = given.pop("rope_type", "default"), given.pop("rope_theta", theta)
    share = given.pop("partial_rotary_factor", 1.0)
    if share != 1 and not part:
        raise ValueError(f"rope_parameters: partial_rotary_factor is {share!r}: this family turns whole heads (1.0)")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise ValueError(f"rope_parameters: partial_rotary_factor is {share!r}, but it must be above 0 and at most 1")
    if not isinstance(theta, int | float) or isinstance(theta, bool):
        raise ValueError(f"rope_parameters: rope_theta is a number, not {theta!r}")
    if not 0 < theta <= 2**53:
        raise ValueError(f"rope_parameters: rope_theta is {theta!r}, but rotations are its powers: above 0, below 2^53")
    theta, share = float(theta), float(share)
    own = {"theta": theta} | ({part: share} if part else {})
    if kind == "default":
        given.pop(_ORIGINAL, None)  # the reference writes it and does not read it
        _none_left(given, kind)
        return Read(own)
    scaling = _scaling(kind, given, fields.get(_LONGEST, longest))
    return Read(own, RopeScheme(theta, share, scaling))


def _scaling(kind: object, given: dict[str, Any], longest: int) -> AnyScaling:
    """The scaling of this kind; lengths that are left out are the longest row's."""
    if not isinstance(kind, str) or kind not in _FORMS:
        raise ValueError(f"rope_parameters: rope_type is {kind!r}; understood are default, {', '.join(_FORMS)}")
    form = _FORMS[kind]
    if kind == "dynamic":
        given.pop(_ORIGINAL, None)  # the reference reads max_position_embeddings alone
    given.pop("finetuned", None)  # of the authors' own files; it says how the numbers came about
    missing = [name for name in form.needed if name not in given]
    if missing:
        raise ValueError(f"rope_parameters: {kind} needs {', '.join(missing)}")
    numbers = {ours: given.pop(theirs) for theirs, ours in form.numbers.items() if theirs in given}
    _none_left(given, kind)
    theirs = {ours: name for name, ours in form.numbers.items()}
    numbers = {ours: _number(ours, value, theirs[ours]) for ours, value in numbers.items()}
    if kind == "dynamic":
        numbers["original"] = longest
    if _ORIGINAL in form.numbers:
        numbers.setdefault("original", longest)
        numbers.setdefault("factor", longest / max(numbers["original"], 1))
    try:
        made: AnyScaling = form.kind(**numbers)
    except ValueError as error:
        called = [f"{ours} is {name}" for ours, name in theirs.items() if f"{ours} = " in str(error) and ours != name]
        words = f" (there, {', '.join(called)})" if called else ""
        raise ValueError(f"rope_parameters: {error}{words}") from error
    return made


def _number(ours: str, value: object, theirs: str) -> Any:
    """A number of a scaling, of the type that ours has; ValueError names theirs."""
    if ours == "truncate" and isinstance(value, bool):
        return value
    whole = ours == "original"
    if isinstance(value, bool) or not isinstance(value, int | float) or not -(2**53) <= value <= 2**53:
        raise ValueError(f"rope_parameters: {theirs} is {value!r}, but it must be a number of at most 2^53")
    if whole and (value < 1 or value != int(value)):
        raise ValueError(f"rope_parameters: {theirs} is {value!r}, but it must be a whole number of at least 1")
    return int(value) if whole else float(value)


def _none_left(given: Mapping[str, Any], kind: str) -> None:
    if given:
        raise ValueError(f"rope_parameters: {', '.join(given)} is not understood for rope_type {kind!r}")


def _write(part: str, config: Any, position: Scheme | None) -> dict[str, Any] | None:
    """None for a scheme that is not rotary, or turns a part of each head where the family turns all."""
    scheme = position or RopeScheme(config.theta, getattr(config, part) if part else 1.0)
    if type(scheme) is not RopeScheme or (scheme.part != 1.0 and not part):
        return None
    base = {"rope_theta": scheme.theta} | ({"partial_rotary_factor": scheme.part} if part else {})
    if scheme.scaling is None:
        return {"rope_parameters": {"rope_type": "default", **base}}
    kind, form = next((kind, form) for kind, form in _FORMS.items() if type(scheme.scaling) is form.kind)
    if isinstance(scheme.scaling, Dynamic) and scheme.scaling.original != config.context:
        return None
    numbers = {theirs: getattr(scheme.scaling, ours) for theirs, ours in form.numbers.items()}
    said = {theirs: value for theirs, value in numbers.items() if value is False or value}  # mscale 0.0 is none
    return {"rope_parameters": {"rope_type": kind, **base, **said}}
