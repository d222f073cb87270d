"""Rotary positions as published folders say them: `rope_parameters`, read and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from weft.models.published import Read, Seam
from weft.nn import RopeScheme, Scheme
from weft.nn.rope import AnyScaling, Dynamic, Linear, Llama3, LongRope, Yarn
from weft.settings import to_data


@dataclass(frozen=True)
class _Form:
    """A scaling in their words. numbers: theirs -> ours; those in `needed` must be there."""

    kind: type[Any]
    numbers: Mapping[str, str]
    needed: tuple[str, ...]


_ORIGINAL = "original_max_position_embeddings"
_LONGEST = "max_position_embeddings"
# fmt: off
_FORMS = {
    "default": _Form(NoneType, {}, ()),
    "linear": _Form(Linear, {"factor": "factor"}, ("factor",)),
    "dynamic": _Form(Dynamic, {"factor": "factor"}, ("factor",)),
    "yarn": _Form(Yarn, {
        "factor": "factor", _ORIGINAL: "original", "beta_fast": "fast", "beta_slow": "slow", "truncate": "truncate",
        "attention_factor": "attention_factor", "mscale": "mscale", "mscale_all_dim": "mscale_all_dim",
    }, ()),
    "llama3": _Form(
        Llama3, {"factor": "factor", _ORIGINAL: "original", "low_freq_factor": "low", "high_freq_factor": "high"},
        ("factor", "low_freq_factor", "high_freq_factor"),
    ),
    "longrope": _Form(LongRope, {
        "factor": "factor", _ORIGINAL: "original", "short_factor": "short", "long_factor": "long",
        "attention_factor": "attention_factor",
    }, ("short_factor", "long_factor")),
}
# fmt: on


def rope(
    theta: float, longest: int, *, part: str = "", scaling: AnyScaling | None = None, original: int | None = None,
    kinds: Mapping[str, str] | None = None,
) -> Seam:  # fmt: skip
    """The seam of a family with a field `theta` and a `context`; `theta` and `longest` are what missing ones mean.

    part: the field for the share of each head that turns; "": all of it does. scaling: the family's own, where nothing
    is said. original: what a missing original_max_position_embeddings means where it stands beside rope_parameters, and
    wins over the one inside (Phi-3). kinds: old names of kinds.
    """

    def read(fields: Mapping[str, Any]) -> Read:
        given = dict(fields.get("rope_parameters", {}))
        scheme = RopeScheme(theta, scaling=scaling)
        if given:
            given["rope_type"] = (kinds or {}).get(str(given.get("rope_type")), given.get("rope_type"))
            beside = {} if original is None else {_ORIGINAL: fields.get(_ORIGINAL, original)}
            scheme = read_scheme(given | beside, theta, fields.get(_LONGEST, longest), parts=bool(part))
        own = {"theta": scheme.theta} | ({part: scheme.part} if part else {})
        return Read(own, None if scheme.scaling == scaling else scheme)

    def write(config: Any, position: Scheme | None) -> dict[str, Any] | None:
        """None for a scheme that is not rotary, or turns a part of each head where it cannot."""
        scheme = position or RopeScheme(config.theta, getattr(config, part) if part else 1.0, scaling)
        said = write_scheme(scheme, config.context, parts=bool(part)) if type(scheme) is RopeScheme else None
        beside = {} if said is None or original is None else {_ORIGINAL: said.get(_ORIGINAL, original)}
        return None if said is None else {"rope_parameters": said, **beside}

    names = ("rope_parameters",) if original is None else ("rope_parameters", _ORIGINAL)
    return Seam(names, ("theta", part) if part else ("theta",), read, write)


def rope_by_layer(
    thetas: Mapping[str, tuple[str, float]], longest: int, older: Mapping[str, str], scaled: Sequence[str]
) -> Seam:
    """The seam of a family whose layers turn in several ways: `rope_parameters` nested by their names for a kind of
    layer, each of which is a field of ours, a RopeScheme, with the theta of a missing one.

    older: the fields that once held the thetas, and of which kind; scaled: the kinds that `rope_scaling` was of.
    """

    def renew(fields: Mapping[str, Any]) -> dict[str, Any]:
        """ValueError for parameters beside the kinds of layer, which the reference does not read."""
        left, said = dict(fields), fields.get("rope_parameters", {})
        if beside := [name for name in said if name not in thetas]:
            raise ValueError(f"rope_parameters holds {', '.join(beside)}, but here it holds {' and '.join(thetas)}")
        scaling = left.pop("rope_scaling", {})
        then = [(kind, name, value, f"rope_scaling.{name}") for kind in scaled for name, value in scaling.items()]
        then += [(kind, "rope_theta", left.pop(name), name) for name, kind in older.items() if name in left]
        nested = {kind: dict(said.get(kind) or {}) for kind in thetas}
        for kind, name, value, called in then:
            agree(nested[kind], name, value, called, f"rope_parameters.{kind}")
        return left | ({"rope_parameters": {kind: own for kind, own in nested.items() if own}} if said or then else {})

    def read(fields: Mapping[str, Any]) -> Read:
        nested = fields.get("rope_parameters", {})
        found = {
            ours: read_scheme(nested.get(kind, {}), theta, fields.get(_LONGEST, longest))
            for kind, (ours, theta) in thetas.items()
        }
        return Read({ours: to_data(scheme) for ours, scheme in found.items()})

    def write(config: Any, position: Scheme | None) -> dict[str, Any] | None:
        said = {kind: write_scheme(getattr(config, ours), config.context) for kind, (ours, _) in thetas.items()}
        return {"rope_parameters": said} if position is None and None not in said.values() else None

    return Seam(("rope_parameters",), tuple(ours for ours, _ in thetas.values()), read, write, renew=renew)


def agree(own: dict[str, Any], name: str, value: object, called: str, where: str) -> None:
    """Put a parameter in that is not there. ValueError where it is another: what the file calls it, and both."""
    if own.setdefault(name, value) != value:
        raise ValueError(f"{called} is {value!r}, and {name} {own[name]!r} in {where}: the file contradicts itself")


def read_scheme(given: Mapping[str, Any], theta: float, longest: int, *, parts: bool = False) -> RopeScheme:
    """What an object of rope parameters says. parts: of a family that may turn a part of each head."""
    given = {name: value for name, value in given.items() if value is not None}
    old = given.pop("type", "default")
    kind, theta = given.pop("rope_type", old), given.pop("rope_theta", theta)
    part = given.pop("partial_rotary_factor", 1.0)
    if not parts and part != 1:
        raise ValueError(f"rope_parameters: partial_rotary_factor is {part!r}: this family turns whole heads (1.0)")
    theta, part = _number("", theta, "rope_theta"), _number("", part, "partial_rotary_factor")
    if theta <= 0:
        raise ValueError(f"rope_parameters: rope_theta is {theta!r}, but rotations are its powers: above 0, below 2^53")
    if not 0 < part <= 1:
        raise ValueError(f"rope_parameters: partial_rotary_factor is {part!r}, but it must be above 0 and at most 1")
    return RopeScheme(theta, part, _scaling(kind, given, longest))


def _scaling(kind: object, given: dict[str, Any], longest: int) -> AnyScaling | None:
    """The scaling of this kind, None for "default"; lengths that are left out are the longest row's."""
    if not isinstance(kind, str) or kind not in _FORMS:
        raise ValueError(f"rope_parameters: rope_type is {kind!r}; understood are {', '.join(_FORMS)}")
    form = _FORMS[kind]
    if kind in ("default", "dynamic"):
        given.pop(_ORIGINAL, None)  # the reference writes it, and reads max_position_embeddings alone
    if kind != "default":
        given.pop("finetuned", None)  # of the authors' own files; it says how the numbers came about
    if missing := [name for name in form.needed if name not in given]:
        raise ValueError(f"rope_parameters: {kind} needs {', '.join(missing)}")
    numbers = {ours: given.pop(theirs) for theirs, ours in form.numbers.items() if theirs in given}
    if given:
        raise ValueError(f"rope_parameters: {', '.join(given)} is not understood for rope_type {kind!r}")
    theirs = {ours: name for name, ours in form.numbers.items()}
    numbers = {ours: _number(ours, value, theirs[ours]) for ours, value in numbers.items()}
    if kind == "dynamic":
        numbers["original"] = longest
    if _ORIGINAL in form.numbers:
        numbers.setdefault("original", longest)
        numbers.setdefault("factor", longest / max(numbers["original"], 1))
    try:
        made: AnyScaling | None = form.kind(**numbers)
    except ValueError as error:
        called = [f"{ours} is {name}" for ours, name in theirs.items() if f"{ours} = " in str(error) and ours != name]
        words = f" (there, {', '.join(called)})" if called else ""
        raise ValueError(f"rope_parameters: {error}{words}") from error
    return made


def _number(ours: str, value: object, theirs: str) -> Any:
    """A number of a scaling, or a list of them, of the type that ours has; ValueError names theirs."""
    if ours == "truncate" and isinstance(value, bool):
        return value
    if ours in ("short", "long") and isinstance(value, list):
        return tuple(_number(theirs, number, theirs) for number in value)
    whole = ours == "original"
    if isinstance(value, bool) or not isinstance(value, int | float) or not -(2**53) <= value <= 2**53:
        raise ValueError(f"rope_parameters: {theirs} is {value!r}, but it must be a number of at most 2^53")
    if whole and (value < 1 or value != int(value)):
        raise ValueError(f"rope_parameters: {theirs} is {value!r}, but it must be a whole number of at least 1")
    return int(value) if whole else float(value)


def write_scheme(scheme: RopeScheme, context: int, *, parts: bool = False) -> dict[str, Any] | None:
    """A scheme as rope parameters; None where rows of another length are meant than those of the config, or a part of
    each head turns and none of theirs does."""
    if scheme.part != 1.0 and not parts:
        return None
    part = {"partial_rotary_factor": scheme.part} if parts else {}  # a missing one need not mean the whole
    kind, form = next((kind, form) for kind, form in _FORMS.items() if type(scheme.scaling) is form.kind)
    if isinstance(scheme.scaling, Dynamic) and scheme.scaling.original != context:
        return None
    numbers = {theirs: getattr(scheme.scaling, ours) for theirs, ours in form.numbers.items()}
    said = {
        theirs: list(value) if isinstance(value, tuple) else value
        for theirs, value in numbers.items()
        if value is False or value  # mscale 0.0 is none
    }
    return {"rope_type": kind, "rope_theta": scheme.theta, **part, **said}
