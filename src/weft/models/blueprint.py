"""A model as data: family, config and swapped parts; what is saved beside the weights, and `--set model.…` edits."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import nn

from weft.models.family import FAMILIES
from weft.nn import SCHEMES, Scheme
from weft.registry import UnknownName, suggest
from weft.settings import SettingError, change, from_data, to_data


@dataclass(frozen=True)
class Blueprint:
    """family: a registered name; config: that family's config; position: a scheme in place of the family's own."""

    family: str
    config: Any
    position: Scheme | None = None

    @staticmethod
    def of(family: str, size: str | None = None, **changes: Any) -> Blueprint:
        """A family at one of its sizes (default: the config's own defaults), with some fields changed.

        UnknownName for a family or size that is not there; SettingError for a field that is not, or does not fit.
        """
        declared = FAMILIES.get(family)
        if size is not None and size not in declared.sizes:
            raise UnknownName(f"family {family!r} has no size {size!r}; {suggest(size, declared.sizes)}")
        base = {} if size is None else dict(declared.sizes[size])
        return Blueprint(family, from_data(declared.config, base | changes))

    def build(self, *, seed: int = 0) -> nn.Module:
        """A freshly initialised module, in evaluation mode; its parameters are a function of (blueprint, seed)."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self._bare()
            FAMILIES.get(self.family).initialise(module, self.config)
        return module.eval()

    def empty(self) -> nn.Module:
        """The module on the meta device: names and shapes, no memory. ValueError for sizes that cannot be a model."""
        with torch.device("meta"):
            return self._bare()

    def _bare(self) -> nn.Module:
        """The module as its parts initialise themselves."""
        _check(self)
        return FAMILIES.get(self.family).build(self.config, position=self.position)

    def change(self, path: str, text: str) -> Blueprint:
        """A copy with one setting changed: `heads` = "8", `size` = "debug" (all sizes at once), `position` = "rope" or
        its JSON or "default" (the family's own), `position.theta` = "1e6". SettingError or UnknownName says what there
        is."""
        head, _, rest = path.partition(".")
        if head == "size" and not rest:
            return replace(Blueprint.of(self.family, text), position=self.position)
        if head != "position":
            return replace(self, config=change(self.config, path, text))
        if not rest:
            return replace(self, position=None if text == "default" else scheme_from_text(text))
        if self.position is None:
            raise SettingError(f"name a scheme before its settings: model.position=rope, then model.{path}={text}")
        return replace(self, position=change(self.position, rest, text))

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data: {"family": …, "config": {…}, "parts": {"position": …}}."""
        position = None if self.position is None else scheme_to_data(self.position)
        return {"family": self.family, "config": to_data(self.config), "parts": {"position": position}}

    @staticmethod
    def from_data(data: dict[str, Any]) -> Blueprint:
        """What `to_data` wrote. SettingError or UnknownName for anything missing, unexpected or ill-typed."""
        _exactly(data, ("family", "config", "parts"), "a model's description")
        _exactly(data["parts"], ("position",), "a model's parts")
        family = FAMILIES.get(data["family"])
        position = data["parts"]["position"]
        scheme = None if position is None else scheme_from_data(position)
        return Blueprint(data["family"], from_data(family.config, data["config"]), scheme)


def _check(blueprint: Blueprint) -> None:
    """Sizes that cannot be a model are refused by name before anything is allocated."""
    for field in fields(blueprint.config):
        value = getattr(blueprint.config, field.name)
        if isinstance(value, int) and not isinstance(value, bool) and not 1 <= value <= 2**31:
            raise ValueError(f"{blueprint.family}: {field.name} = {value}, but it must be between 1 and {2**31}")
        if field.name.endswith("depth") and value is not None and value > 10_000:
            raise ValueError(f"{blueprint.family}: {field.name} = {value} layers, but at most 10000 can be meant")
        if field.name.endswith("dropout") and value is not None and not 0.0 <= value < 1.0:
            raise ValueError(f"{blueprint.family}: {field.name} = {value}, but it must be at least 0 and below 1")


def scheme_to_data(scheme: Scheme) -> dict[str, Any]:
    """{"name": "rope", "theta": 10000.0, "scaling": {"class": "Yarn", "factor": 4.0, …}, …}

    ValueError for a scheme without a registered name.
    """
    name = next((name for name, kind in SCHEMES.items() if type(scheme) is kind), None)
    if name is None:
        raise ValueError(
            f"{type(scheme).__name__} is no registered position scheme, so it could not be saved: put it into "
            "weft.nn.SCHEMES under a name"
        )
    return {"name": name} | to_data(scheme)


def scheme_from_data(data: dict[str, Any]) -> Scheme:
    """The scheme that `scheme_to_data` wrote; settings left out take their defaults."""
    own = dict(data)
    name = own.pop("name", None)
    if name not in SCHEMES:
        raise UnknownName(f"no position scheme is called {name!r}; {suggest(str(name), SCHEMES)}")
    return from_data(SCHEMES[name], own)


def scheme_from_text(text: str) -> Scheme:
    """A scheme by name ("rope"), or by its JSON ({"name": "rope", "theta": 1e6})."""
    if not text.lstrip().startswith("{"):
        return scheme_from_data({"name": text})
    try:
        return scheme_from_data(json.loads(text))
    except json.JSONDecodeError as error:
        raise SettingError(f"model.position is neither a scheme's name nor JSON: {error}") from error


def _exactly(data: object, names: tuple[str, ...], what: str) -> None:
    """SettingError unless `data` is a dict of these names, no more and no fewer."""
    if not isinstance(data, dict) or set(data) != set(names):
        given = ", ".join(map(str, data)) if isinstance(data, dict) else repr(data)
        raise SettingError(f"{what} has exactly {', '.join(names)}, not {given}")
