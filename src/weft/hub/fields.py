"""A published config.json as a blueprint, and back; what is not understood is an error that names it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from weft.models.blueprint import Blueprint
from weft.models.family import FAMILIES, Family
from weft.models.published import INERT, ONLY, TELLING, Inner, Key, Published, Read
from weft.registry import suggest
from weft.settings import field_from_data, to_data

OWN = "weft"  # the field under which a published config keeps what its own library has no word for


@dataclass(frozen=True)
class Described:
    """What a config.json says. heads: those of its class, the one that answers by default first; None where it names no
    class. notices: for people. dead: tensors that nothing is computed with."""

    blueprint: Blueprint
    heads: tuple[str, ...] | None = None
    notices: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()


def family_of(model_type: object, classes: object = None) -> tuple[Family, Published]:
    """The family that is published under a model_type, and how; of several the one that has the class which a config
    names as its `architectures`, else the first. ValueError where none is."""
    families, broken = FAMILIES.loadable()
    known = dict[str, list[Family]]()
    for family in families.values():
        if family.published:
            known.setdefault(family.published.model_type, []).append(family)
    if not isinstance(model_type, str) or model_type not in known:
        unsaid = "".join(
            f"; plug-in {name!r}, which may read it, could not be loaded ({error}): mend or remove it"
            for name, error in broken.items()
        )
        raise ValueError(
            f"model_type is {model_type!r}, which weft does not read; {suggest(str(model_type), known)}{unsaid}"
        )
    named = classes[0] if isinstance(classes, list) and classes else None
    there = [family for family in known[model_type] if family.published and named in family.published.classes]
    family = (there or known[model_type])[0]
    assert family.published is not None
    return family, family.published


def read_fields(data: Mapping[str, Any]) -> Described:
    """The blueprint in a config of version 5 (see `weft.hub.version`), as far as fields can say it: what tensors
    say of ties and heads comes later. ValueError for a field, or a value, that is not understood."""
    family, declared = family_of(data.get("model_type"), data.get("architectures"))
    inert = INERT | declared.inert | declared.untaught
    left = {name: value for name, value in data.items() if name not in inert}
    fields, noise = dict[str, Any](), {name: data[name] for name in declared.untaught if data.get(name)}
    notices = [
        f"{name} is {value}: it matters in training alone, which does not do it" for name, value in noise.items()
    ]
    for key in declared.keys:
        value = _take(left, key, family.config)
        if key.ours not in fields:
            fields[key.ours] = value
        elif fields[key.ours] != value and not key.training:
            raise ValueError(f"{key.theirs} makes {key.ours} {value!r}, another field {fields[key.ours]!r}")
        elif fields[key.ours] != value:
            notices.append(f"{key.theirs} is {value}, but weft has one {key.ours} for both: {fields[key.ours]}")
    read, dead = Read({}), list[str]()
    for inner in declared.inner:
        on = {name: True for name in inner.switches if left.pop(name, False)}
        found = _inside({**left.pop(inner.theirs), **on}, inner)
        fields[inner.ours] = found.blueprint
        notices += [f"{inner.theirs}: {notice}" for notice in found.notices]
        dead += [inner.prefix + name for name in found.dead]
    if declared.seam is not None:
        read, words = declared.seam.read(data), declared.seam.words
        fields |= {
            name: field_from_data(family.config, name, value, called=words.get(name, name))
            for name, value in read.fields.items()
        }
        left = {name: value for name, value in left.items() if name not in declared.seam.names}
    fields |= _own(left.pop(OWN, {}), declared, family.config)
    plain = to_data(family.config())
    for key in declared.keys:
        if key.follows and fields[key.ours] == fields.get(key.follows, plain[key.follows]):
            fields[key.ours] = None
    _understood(left, {**ONLY, **declared.only}, declared)
    blueprint = Blueprint(family.name, family.config(**fields), read.position)
    return Described(blueprint, _heads(data.get("architectures"), declared), tuple(notices), (*dead, *read.dead))


def _inside(data: Mapping[str, Any], inner: Inner) -> Described:
    """The model inside."""
    try:
        return read_fields(data)
    except ValueError as error:
        raise ValueError(f"{inner.theirs}: {error}") from error


def _take(left: dict[str, Any], key: Key, config: type[Any]) -> Any:
    """The value of ours that `key` has in a config, from which it is removed."""
    names = [name for name in (key.theirs, *key.also) if name in left]
    values = [left.pop(name) for name in names]
    if any(value != values[0] for value in values[1:]):
        raise ValueError(f"{names[0]} is {values[0]!r} and {names[1]} {values[1]!r}: the file contradicts itself")
    value = values[0] if values else key.default
    if key.words is not None:
        if not isinstance(value, str | int) or value not in key.words:
            raise ValueError(f"{key.theirs} is {value!r}; understood are {', '.join(map(str, key.words))}")
        value = key.words[value]
    return field_from_data(config, key.ours, value, called=key.theirs)


def _own(data: object, declared: Published, config: type[Any]) -> dict[str, Any]:
    """What weft wrote beside their fields."""
    if not isinstance(data, dict) or not set(data) <= set(declared.training):
        there = ", ".join(declared.training) or "nothing"
        raise ValueError(f"{OWN} holds {data!r}: it is an object of settings for training, of {there}")
    return {name: field_from_data(config, name, value, called=f"{OWN}.{name}") for name, value in data.items()}


def _understood(left: Mapping[str, Any], only: Mapping[str, tuple[Any, ...]], declared: Published) -> None:
    """ValueError where a field is left that is not understood, or has a value that is not."""
    for name, value in left.items():
        if value is None and name in TELLING:  # it tells nothing here
            continue
        if name not in only:
            raise ValueError(
                f"the field {name!r} ({str(value)[:60]}) is not understood for model_type {declared.model_type!r}, and "
                "may change what the model computes: remove it from the file if you know that it does not"
            )
        if value not in only[name]:
            raise ValueError(f"{name} is {value!r}; understood is {' or '.join(map(repr, only[name]))}")


def _heads(classes: object, declared: Published) -> tuple[str, ...] | None:
    """The heads of the class that a config names; None where it names none."""
    if classes in (None, []):
        return None
    if not isinstance(classes, list) or len(classes) != 1 or classes[0] not in declared.classes:
        raise ValueError(f"architectures is {classes!r}; one of these is understood: {', '.join(declared.classes)}")
    return declared.classes[classes[0]]


def write_fields(blueprint: Blueprint, origin: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """A model's config in the published form of version 5; None where that cannot say it.

    origin: the config it was read from. Where it still means this model it is what is returned; else its fields that
    change nothing are kept.
    """
    family = FAMILIES.get(blueprint.family)
    declared = family.published
    written = None if declared is None else _write(blueprint, declared, origin or {})
    if declared is None or written is None:
        return None
    origin = dict(origin or {})
    classes = origin.pop("architectures", None)
    heads = getattr(blueprint.config, declared.heads) if declared.heads else None
    fits = partial(_fits, declared, blueprint.config)
    kept = classes and (heads is None or set(declared.classes[classes[0]]) <= set(heads)) and fits(classes[0])
    if not kept:
        fitting = [name for name, own in declared.classes.items() if (heads is None or own == heads) and fits(name)]
        if not fitting:  # also where they are in another order, in which another one would answer
            return None
        classes = fitting[:1]
    begin = {"architectures": classes, "model_type": declared.model_type}
    if origin and _means(begin | origin, blueprint, declared):
        return begin | origin
    for key in declared.keys:  # of several words for one the model's own
        if key.words is not None and key.words.get(origin.get(key.theirs)) == getattr(blueprint.config, key.ours):
            written[key.theirs] = origin[key.theirs]
    understood = {name for key in declared.keys for name in (key.theirs, *key.also)} | {OWN}
    understood |= set(declared.seam.names if declared.seam else ())
    understood |= {name for inner in declared.inner for name in (inner.theirs, *inner.switches)}
    return begin | written | {name: value for name, value in origin.items() if name not in understood | set(begin)}


def _fits(declared: Published, config: Any, name: str) -> bool:
    """Whether a class is, of those with its heads, the one of this config."""
    marks, heads = declared.marked, declared.classes[name]
    alike = [mark for other, mark in marks.items() if declared.classes[other] == heads]
    return all(getattr(config, mark) == (mark == marks.get(name)) for mark in alike)


def _means(data: Mapping[str, Any], blueprint: Blueprint, declared: Published) -> bool:
    """Whether a config describes this model, but for what tensors alone can say."""
    try:
        read = read_fields(data).blueprint
    except ValueError:
        return False
    return _told(read, blueprint) == blueprint


def _told(read: Blueprint, by: Blueprint) -> Blueprint:
    """What a config says, with what tensors alone can say as it is in another model, of the same families."""
    declared = FAMILIES.get(read.family).published
    if declared is None or read.family != by.family:
        return read
    told = {found.field: getattr(by.config, found.field) for found in declared.found}
    told |= {i.ours: _told(getattr(read.config, i.ours), getattr(by.config, i.ours)) for i in declared.inner}
    return dataclasses.replace(read, config=dataclasses.replace(read.config, **told))


def _write(blueprint: Blueprint, declared: Published, origin: Mapping[str, Any]) -> dict[str, Any] | None:
    """Every field of the declaration; None where one cannot hold what ours does, or another of ours is not plain."""
    config = blueprint.config
    data = to_data(config)
    if blueprint.attention is not None:
        return None
    seam = {} if declared.seam is None else declared.seam.write(config, blueprint.position)
    if seam is None or (declared.seam is None and blueprint.position is not None):
        return None
    written = dict[str, Any]()
    for key in declared.keys:
        value = data[key.ours]
        if value is None and key.follows:
            value = data[key.follows]
        if key.words is not None:
            words = [theirs for theirs, ours in key.words.items() if ours == value]
            if not words:
                return None
            value = words[0]
        if value is not None or (key.theirs in TELLING and key.default is not None):
            written[key.theirs] = value
        elif key.default is not None:  # null would mean that
            return None
    for inner in declared.inner:
        inside = write_fields(getattr(config, inner.ours), origin.get(inner.theirs))
        if inside is None or (inner.fixed and inside["model_type"] != inner.model_type):
            return None
        written |= {name: inside.get(name, False) for name in inner.switches} | {inner.theirs: inside}
    plain = to_data(type(config)())
    kept = {name: data[name] for name in declared.training if data[name] != plain[name]}
    said = {key.ours for key in declared.keys} | {found.field for found in declared.found} | set(declared.training)
    said |= set(declared.seam.fields if declared.seam else ()) | {inner.ours for inner in declared.inner}
    if any(data[name] != plain[name] for name in data.keys() - said):
        return None
    return written | seam | ({OWN: kept} if kept else {})
