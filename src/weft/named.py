"""Frozen values that go by a registered name: a position scheme, an attention, an objective; to JSON and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from weft.registry import UnknownName, suggest
from weft.settings import SettingError, from_data, to_data

Kinds = Mapping[str, type[Any]]


def named_to_data(value: Any, kinds: Kinds) -> dict[str, Any]:
    """{"name": "rope", "theta": 10000.0, …}: the value's settings beside its name. ValueError where it has none."""
    name = next((name for name, kind in kinds.items() if kind is type(value)), None)
    if name is None:
        raise ValueError(
            f"{type(value).__name__} has no registered name, so it could not be saved: register it beside "
            f"{', '.join(kinds)}"
        )
    return {"name": name} | to_data(value)


def named_from_data(what: str, data: Mapping[str, Any], kinds: Kinds) -> Any:
    """The value that `named_to_data` wrote; settings left out take their defaults. what: the word for it in errors."""
    own = dict(data)
    name = own.pop("name", None)
    if name not in kinds:
        raise UnknownName(f"no {what} is called {name!r}; {suggest(str(name), kinds)}")
    return from_data(kinds[name], own)


def named_from_text(what: str, text: str, kinds: Kinds) -> Any:
    """A value by its name ("rope"), or by its JSON ({"name": "rope", "theta": 1e6}). what: its setting, for errors."""
    if not text.lstrip().startswith("{"):
        return named_from_data(what, {"name": text}, kinds)
    try:
        return named_from_data(what, json.loads(text), kinds)
    except json.JSONDecodeError as error:
        raise SettingError(f"{what} is neither a name nor JSON: {error}") from error
