"""Settings: frozen dataclasses of plain data, changed by path (`train.steps=200`), to JSON and back.

A field may be an int, float, bool, str, Path, Literal, tuple, list, dict, another such dataclass, a `Described`, or a
union of these (`X | None` above all). Numbers are finite, so that every value has its JSON.
"""

import contextlib
import dataclasses
import difflib
import functools
import math
import types
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from weft.described import Described

S = TypeVar("S")

_LONGEST_INT = 40  # digits: "1e999999999" is a typing error, not a number to compute
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class SettingError(ValueError):
    """A setting that does not exist, or a value that does not fit it; the text names the setting and the way out."""


def change(settings: S, path: str, text: str) -> S:
    """A copy of `settings` in which the field at `path` ("train.steps") holds `text` ("200"), read as the field's type.

    Read as: int "1e6", "1_000"; bool true/false/yes/no/1/0; tuple "a,b"; "none" where None is allowed. An `X | None`
    field that is None becomes a default X when something inside it is set. Raises SettingError.
    """
    if not _is_settings(settings):
        raise SettingError(f"settings are a dataclass, not {settings!r}")
    return cast(S, _set(settings, type(settings), path.split("."), text, path))


def to_data(settings: object) -> dict[str, Any]:
    """`settings` as plain JSON data; a field that may hold one of several dataclasses also says "class"."""
    return cast(dict[str, Any], _write(settings, type(settings), type(settings).__name__))


def from_data(cls: type[S], data: dict[str, Any]) -> S:
    """The `cls` that `to_data` wrote as `data`; SettingError for an unknown, missing or ill-typed field."""
    return cast(S, _read(data, cls, cls.__name__))


def field_from_data(cls: type, name: str, data: Any, *, called: str) -> Any:
    """The value of one field of `cls` that `data` stands for; SettingError names it as it is `called`."""
    return _read(data, _hints(cls)[name], called)


def _is_settings(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Field name -> type, in order."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def _members(hint: Any) -> tuple[Any, ...]:
    """The types a union is made of; any other type is a union of one."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _member(hint: Any, kind: type) -> Any:
    """The member of `hint` that is a `kind` or a `kind[...]`; None where there is none."""
    return next((member for member in _members(hint) if (get_origin(member) or member) is kind), None)


def _classes(hint: Any) -> list[type]:
    return [member for member in _members(hint) if isinstance(member, type) and dataclasses.is_dataclass(member)]


def _elements(hint: Any, count: int) -> list[Any]:
    """The types of the `count` elements of a tuple or list type; ValueError where it wants another count."""
    given = get_args(hint) or (Any, ...)
    if get_origin(hint) is list or given[-1] is Ellipsis:
        return [given[0]] * count
    if len(given) != count:
        raise ValueError(f"{len(given)} values are needed, not {count}")
    return list(given)


def _describe(hint: Any) -> str:
    if len(_members(hint)) > 1:
        return " or ".join(_describe(member) for member in _members(hint))
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(str(value) for value in get_args(hint))
    if get_origin(hint) in (tuple, list):
        return f"{_describe((get_args(hint) or (Any,))[0])} each, with commas between"
    simple = {int: "a whole number", float: "a finite number", bool: "true or false", str: "text", type(None): "none"}
    return simple.get(hint, hint.__name__ if isinstance(hint, type) else str(hint))


def _near(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}? " if near else ""


def _unknown(path: str, cls: type, name: str) -> SettingError:
    names = list(_hints(cls))
    return SettingError(
        f"{path}: {cls.__name__} has no setting {name!r}; {_near(name, names)}it has: {', '.join(names)}"
    )


def _set(value: Any, hint: Any, names: list[str], text: str, path: str) -> Any:
    """`value`, of the type `hint`, with what `names` lead to replaced."""
    if not names:
        return _parse(text, hint, path)
    if value is None:
        value = _blank(hint, path)
    if isinstance(value, Described):
        return value.change(".".join(names), text)
    if _is_settings(value):
        return _set_field(value, names, text, path)
    if isinstance(value, dict):
        keys, values = get_args(_member(hint, dict)) or (str, Any)
        key = _parse(names[0], keys, path)
        return {**value, key: _set(value.get(key), values, names[1:], text, path)}
    raise SettingError(f"{path}: the single value {value!r} has no {names[0]!r} inside: leave out .{'.'.join(names)}")


def _blank(hint: Any, path: str) -> Any:
    """What a None becomes before something inside it is set."""
    classes = _classes(hint)
    if len(classes) == 1:
        return _build(classes[0], {}, path)
    if _member(hint, dict) is not None or Any in _members(hint):
        return {}
    raise SettingError(f"{path}: nothing inside {_describe(hint)} can be set, since it is none")


def _set_field(settings: Any, names: list[str], text: str, path: str) -> Any:
    hints = _hints(type(settings))
    if names[0] not in hints:
        raise _unknown(path, type(settings), names[0])
    inside = _set(getattr(settings, names[0]), hints[names[0]], names[1:], text, path)
    kept = {name: getattr(settings, name) for name in hints}
    return _build(type(settings), {**kept, names[0]: inside}, path)


def _build(cls: type, values: dict[str, Any], path: str) -> Any:
    """cls(**values); what the class itself refuses is a SettingError that names the path."""
    fields = [field for field in dataclasses.fields(cls) if field.init and field.name not in values]
    empty = (dataclasses.MISSING, dataclasses.MISSING)
    missing = [field.name for field in fields if (field.default, field.default_factory) == empty]
    if missing:
        raise SettingError(f"{path}: {cls.__name__} cannot do without {', '.join(missing)}: give it")
    try:
        return cls(**values)
    except SettingError:
        raise
    except ValueError as error:
        raise SettingError(f"{path}: {error}") from error


def _parse(text: str, hint: Any, path: str) -> Any:
    # Text fits everything, so it is tried last: "3" for `str | int` is a number.
    choices = sorted(_members(hint), key=lambda member: member in (str, Path, Any))
    for choice in choices:
        try:
            return _parse_one(text, choice)
        except ValueError:
            continue
    options = [str(value) for choice in choices if get_origin(choice) is Literal for value in get_args(choice)]
    inside = ", ".join(f"{path}.{name}" for cls in _classes(hint) for name in _hints(cls))
    way_out = f"; set what is inside it: {inside}" if inside else ""
    raise SettingError(f"{path}={text}: {_near(text, options)}the value is {_describe(hint)}, not {text!r}{way_out}")


def _parse_one(text: str, hint: Any) -> Any:
    """`text` as the type `hint`, which is no union; ValueError where it does not fit."""
    kind = get_origin(hint) or hint
    word = text.strip().lower()
    if kind is Literal:
        return _choose(text, {str(value): value for value in get_args(hint)})
    if kind in (tuple, list):
        parts = [part.strip() for part in text.split(",")] if word else []
        return kind(_parse(part, element, "") for part, element in zip(parts, _elements(hint, len(parts)), strict=True))
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _build(_choose(text, {kind.__name__: kind}), {}, "")
    if kind is bool or kind is type(None):
        return _choose(word, _WORDS if kind is bool else {"none": None, "null": None})
    if kind is int:
        return _whole(text)
    if kind is float and math.isfinite(float(text)):
        return float(text)
    if kind is Any:
        return _guess(text)
    if kind in (str, Path):
        return kind(text)
    raise ValueError(text)


def _choose(text: str, values: Mapping[str, Any]) -> Any:
    if text not in values:
        raise ValueError(text)
    return values[text]


def _whole(text: str) -> int:
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(text) from error
    if not number.is_finite() or number.adjusted() > _LONGEST_INT or number != number.to_integral_value():
        raise ValueError(text)
    return int(number)


def _guess(text: str) -> Any:
    """A value whose type nobody declared: a number, true or false, none, or else the text itself."""
    words = {"true": True, "false": False, "none": None, "null": None}
    for read in (int, float):
        with contextlib.suppress(ValueError, OverflowError):
            if math.isfinite(read(text)):
                return read(text)
    return words.get(text.strip().lower(), text)


def _write(value: Any, hint: Any, path: str) -> Any:
    if isinstance(value, Described):
        return value.to_data()
    if _is_settings(value):
        classes = _classes(hint)
        if type(value) not in classes:
            raise SettingError(f"{path} holds a {type(value).__name__}, which is not {_describe(hint)}: declare it")
        tag = {"class": type(value).__name__} if len(classes) > 1 else {}
        hints = _hints(type(value))
        return tag | {name: _write(getattr(value, name), hints[name], f"{path}.{name}") for name in hints}
    if isinstance(value, dict):
        inner = (get_args(_member(hint, dict)) or (str, Any))[1]
        return {str(key): _write(item, inner, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, tuple | list):
        inner = _elements(_member(hint, type(value)), len(value))
        return [_write(item, inner[index], f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise SettingError(f"{path} holds {value!r}, which JSON cannot: settings are plain data with finite numbers")


def _read(data: Any, hint: Any, path: str) -> Any:
    # The exact type first: for `float | int`, 3 is the int.
    choices = sorted(_members(hint), key=lambda member: member is not type(data))
    classes = _classes(hint)
    if len(classes) > 1 and isinstance(data, dict) and "class" in data:
        choices = [cls for cls in classes if cls.__name__ == data["class"]]
        data = {key: item for key, item in data.items() if key != "class"}
    failures: list[SettingError] = []
    for choice in choices:
        try:
            return _read_one(data, choice, path)
        except SettingError as error:
            failures.append(error)
    inside = [failure for failure in failures if not isinstance(failure, _Unfit)]
    raise inside[0] if inside else SettingError(f"{path} is {_describe(hint)}, not {data!r}")


class _Unfit(SettingError):
    """The data is of another type altogether; any other SettingError comes from inside data of the right type."""


def _read_one(data: Any, hint: Any, path: str) -> Any:
    kind = get_origin(hint) or hint
    if isinstance(kind, type) and issubclass(kind, Described) and isinstance(data, kind | dict):
        return kind.from_data(data) if isinstance(data, dict) else data
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and isinstance(data, dict):
        hints = _hints(kind)
        for name in data:
            if name not in hints:
                raise _unknown(path, kind, str(name))
        return _build(kind, {name: _read(item, hints[name], f"{path}.{name}") for name, item in data.items()}, path)
    if kind is dict and isinstance(data, dict):
        keys, values = get_args(hint) or (str, Any)
        return {_parse(key, keys, path): _read(item, values, f"{path}.{key}") for key, item in data.items()}
    if kind in (tuple, list) and isinstance(data, list):
        try:
            inner = _elements(hint, len(data))
        except ValueError as error:
            raise SettingError(f"{path}: {error}") from error
        return kind(_read(item, inner[index], f"{path}[{index}]") for index, item in enumerate(data))
    if kind is Literal and any(data == value and type(data) is type(value) for value in get_args(hint)):
        return data
    if kind is Any or (kind in (int, bool, str, float, type(None)) and type(data) is kind):
        return _write(data, Any, path)  # checks that it is plain and finite
    if kind is float and type(data) is int and abs(data) <= 2**53:
        return float(data)
    if kind is Path and isinstance(data, str):
        return Path(data)
    raise _Unfit(f"{path}: {data!r}")
