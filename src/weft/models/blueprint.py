"""A model as data: family, config and swapped parts; what is saved beside the weights, and `--set model.…` edits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import nn

from weft.described import Described
from weft.models.family import FAMILIES
from weft.named import named_from_data, named_from_text, named_to_data
from weft.nn import ATTENTIONS, SCHEMES, Encoder, Kind, Scheme
from weft.registry import UnknownName, suggest
from weft.settings import SettingError, change, from_data, to_data

PARTS: dict[str, Mapping[str, type[Any]]] = {"position": SCHEMES, "attention": ATTENTIONS}  # what may be swapped


@dataclass(frozen=True)
class Blueprint(Described):
    """family: a registered name; config: that family's config; position: a scheme in place of the family's own;
    attention: a kind in place of the family's own."""

    family: str
    config: Any
    position: Scheme | None = None
    attention: Kind | None = None

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
            module = self.bare()
            self.draw(module)
        return module.eval()

    def empty(self) -> nn.Module:
        """The module on the meta device: names and shapes, no memory. ValueError for sizes that cannot be a model."""
        with torch.device("meta"):
            return self.bare()

    def bare(self) -> nn.Module:
        """The module as its parts initialise themselves, for a family that has it inside; else see `build`."""
        _check(self)
        module = FAMILIES.get(self.family).build(self.config, position=self.position)
        if self.attention is not None:
            length = self.config.context
            self.attention.put(module, module.embed.extent(length) if isinstance(module, Encoder) else length)
        return module

    def draw(self, module: nn.Module) -> None:
        """Initialise a module that `bare` made, from torch's default generator."""
        FAMILIES.get(self.family).initialise(module, self.config)

    @property
    def states(self) -> int:
        """How wide the states are that it makes of a text it reads."""
        return FAMILIES.get(self.family).states(self.config)

    @property
    def mixes(self) -> str:
        """What it is in this model that lets the documents of a row see one another, in words; "": nothing."""
        if not FAMILIES.get(self.family).packs:
            return f"family {self.family!r}"
        return "" if self.attention is None or self.attention.packs else f"{self.attention} attention"

    def change(self, path: str, text: str) -> Blueprint:
        """A copy with one setting changed: `heads` = "8", `size` = "debug" (all sizes at once), `position` = "rope" or
        its JSON or "default" (the family's own), `position.theta` = "1e6", and `attention` likewise. SettingError or
        UnknownName says what there is."""
        head, _, rest = path.partition(".")
        if head == "size" and not rest:
            return replace(self, config=Blueprint.of(self.family, text).config)
        if head not in PARTS:
            return replace(self, config=change(self.config, path, text))
        part = self.parts[head]
        if rest and part is None:
            word, example = ("scheme", "rope") if head == "position" else ("kind", "window")
            raise SettingError(f"name a {word} before its settings: model.{head}={example}, then model.{path}={text}")
        if not rest:
            return replace(self, **{head: None if text == "default" else named_from_text(head, text, PARTS[head])})
        return replace(self, **{head: change(part, rest, text)})

    @property
    def parts(self) -> dict[str, Scheme | Kind | None]:
        """What is swapped, by the places of PARTS; None: the family's own."""
        return {"position": self.position, "attention": self.attention}

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data: {"family": …, "config": {…}, "parts": {"position": …, "attention": …}}."""
        parts = {place: part and named_to_data(part, PARTS[place]) for place, part in self.parts.items()}
        return {"family": self.family, "config": to_data(self.config), "parts": parts}

    @staticmethod
    def from_data(data: dict[str, Any]) -> Blueprint:
        """What `to_data` wrote. SettingError or UnknownName for anything missing, unexpected or ill-typed."""
        _exactly(data, ("family", "config", "parts"), "a model's description")
        _exactly(data["parts"], tuple(PARTS), "a model's parts")
        family = FAMILIES.get(data["family"])
        parts = {place: part and named_from_data(place, part, PARTS[place]) for place, part in data["parts"].items()}
        return Blueprint(data["family"], from_data(family.config, data["config"]), **parts)


def _check(blueprint: Blueprint) -> None:
    """Sizes that cannot be a model are refused by name before anything is allocated."""
    for field in fields(blueprint.config):
        value = getattr(blueprint.config, field.name)
        least = field.metadata.get("least", 1)  # of what is no size (an id, say): another number
        if isinstance(value, int) and not isinstance(value, bool) and not least <= value <= 2**31:
            raise ValueError(f"{blueprint.family}: {field.name} = {value}, but it must be between {least} and {2**31}")
        if field.name.endswith("depth") and value is not None and value > 10_000:
            raise ValueError(f"{blueprint.family}: {field.name} = {value} layers, but at most 10000 can be meant")
        if field.name.endswith("dropout") and value is not None and not 0.0 <= value < 1.0:
            raise ValueError(f"{blueprint.family}: {field.name} = {value}, but it must be at least 0 and below 1")


def _exactly(data: object, names: tuple[str, ...], what: str) -> None:
    """SettingError unless `data` is a dict of these names, no more and no fewer."""
    if not isinstance(data, dict) or set(data) != set(names):
        given = ", ".join(map(str, data)) if isinstance(data, dict) else repr(data)
        raise SettingError(f"{what} has exactly {', '.join(names)}, not {given}")
