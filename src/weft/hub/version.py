"""One form of config.json for the two that are published: version 4 of the reference library becomes version 5.

- `torch_dtype` is `dtype`;
- `rope_scaling` (its kind under `type` or `rope_type`), `rope_theta` and `partial_rotary_factor` are `rope_parameters`,
  unless the family says it otherwise (`Seam.renew`);
- null is a field that is not there, the default, but where it tells something (`TELLING`), in fields that change
  nothing, as others may read it, and in a rotary base, which has to be a number;
- {"__float__": "Infinity"} is a number that JSON has no word for;
- so in the configs of models inside, of which each that is missing is there, and the one that counts (`Inner.over`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from weft.hub.fields import family_of
from weft.models.published import INERT, TELLING, Inner
from weft.models.rotary import agree

_KEPT = (INERT - {"architectures", "dtype", "model_type"}) | TELLING
_BASES = ("rope_theta", "global_rope_theta", "local_rope_theta", "rope_local_base_freq", "rotary_emb_base")
_FLOATS = {"Infinity": float("inf"), "-Infinity": float("-inf"), "NaN": float("nan")}


def modern(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a config.json in the form of version 5, null ones left out but for those that change nothing or
    tell something. ValueError where both forms are there and contradict each other, where a number that the reference
    has no default for is null, and for a model_type that no family is published under."""
    declared = family_of(data.get("model_type"), data.get("architectures"))[1]
    seam = declared.seam
    if seam is not None and "rope_parameters" in seam.names:
        _numbers(data)
    fields = {name: _value(value) for name, value in data.items() if value is not None or name in _KEPT}
    _same(fields, "torch_dtype", "dtype")
    fields = {"dtype" if name == "torch_dtype" else name: value for name, value in fields.items()}
    if isinstance(fields.get("dtype"), str):
        fields["dtype"] = fields["dtype"].removeprefix("torch.")
    for inner in declared.inner:
        fields[inner.theirs] = _inside(fields, inner)
    return _rope(fields) if seam is None or seam.renew is None else seam.renew(fields)


def _inside(fields: dict[str, Any], inner: Inner) -> dict[str, Any]:
    """The config of a model inside, taken from the fields. ValueError where it is none, or of another kind."""
    given, over = fields.pop(inner.theirs, inner.missing), fields.pop(inner.over, None)
    given, name = (given, inner.theirs) if over is None else (over, inner.over)
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} is {given!r}, but it must be an object of fields")
    kind = given.get("model_type") or inner.model_type
    if inner.fixed and kind != inner.model_type:
        raise ValueError(f"{name} has the model_type {kind!r}; understood is {inner.model_type!r}")
    try:
        return modern({**given, "model_type": kind})
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _numbers(data: Mapping[str, Any], where: str = "") -> None:
    """ValueError for a rotary base that is null, and for parameters of another form than numbers by name."""
    for name, value in data.items():
        if value is None and name in _BASES:
            raise ValueError(f"{where}{name} is null, with which the reference computes nothing: write the number")
        if name in ("rope_scaling", "rope_parameters") and not isinstance(value, dict | None):
            raise ValueError(f"{name} is {value!r}, but it must be an object of numbers by name")
        if isinstance(value, dict) and (where or name in ("rope_scaling", "rope_parameters")):
            _numbers(value, f"{where}{name}.")


def plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as JSON can hold them: numbers that it has no word for as the reference writes them."""
    return {name: _worded(value) for name, value in fields.items()}


def _worded(value: Any) -> Any:
    if isinstance(value, dict):
        return plain(value)
    if isinstance(value, float) and not math.isfinite(value):
        return {"__float__": next(word for word, number in _FLOATS.items() if repr(number) == repr(value))}
    return value


def _value(value: Any) -> Any:
    """A number that JSON has no word for."""
    if isinstance(value, dict) and value.keys() == {"__float__"} and value["__float__"] in _FLOATS:
        return _FLOATS[value["__float__"]]
    return value


def _rope(fields: dict[str, Any]) -> dict[str, Any]:
    """`rope_parameters` of whatever says something of rotary positions; ValueError where two fields disagree."""
    scaling, given = fields.pop("rope_scaling", {}), fields.get("rope_parameters", {})
    if scaling and given and scaling != given:
        raise ValueError(f"rope_scaling is {scaling} and rope_parameters {given}: the file contradicts itself")
    parameters = {name: value for name, value in (scaling or given).items() if value is not None}
    for name in ("rope_theta", "partial_rotary_factor"):
        if name in fields:
            agree(parameters, name, fields.pop(name), name, "rope_scaling" if scaling else "rope_parameters")
    if not parameters:
        return fields
    old = parameters.pop("type", None)
    parameters.setdefault("rope_type", old or "default")
    return fields | {"rope_parameters": parameters}


def _same(fields: Mapping[str, Any], then: str, now: str) -> None:
    if then in fields and now in fields and fields[then] != fields[now]:
        raise ValueError(f"{then} is {fields[then]!r} and {now} {fields[now]!r}: the file contradicts itself")
