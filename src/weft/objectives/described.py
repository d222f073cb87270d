"""Objectives as data: by name on a command line and in a run's description, several of them joined by "+"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from weft.named import named_from_data, named_from_text, named_to_data
from weft.objectives.loss import OBJECTIVES, Objective
from weft.objectives.together import Together, together
from weft.settings import SettingError, change

WEIGHT = "weight"  # what each of several counts for: a setting beside its own


@dataclass(frozen=True)
class _Weight:
    weight: float = 1.0


def objective_to_data(objective: Objective) -> dict[str, Any]:
    """{"name": "masked", "share": 0.15, …}; of several {"name": "together", "parts": […], "weights": […]}."""
    if isinstance(objective, Together):
        parts = [objective_to_data(part) for part in objective.parts]
        return {"name": "together", "parts": parts, "weights": list(objective.weights)}
    return named_to_data(objective, OBJECTIVES.all())


def objective_from_data(data: dict[str, Any]) -> Objective:
    """What `objective_to_data` wrote. SettingError or UnknownName for anything missing, unexpected or ill-typed."""
    if data.get("name") != "together":
        return named_from_data("objective", data, OBJECTIVES.all())
    if data.keys() != {"name", "parts", "weights"}:
        raise SettingError(f"several objectives have parts and weights, not {', '.join(data)}")
    return together([objective_from_data(part) for part in data["parts"]], data["weights"])


def objective_from_text(text: str) -> Objective:
    """ "masked", its JSON, or "masked+next_sentence"."""
    if text.lstrip().startswith("{") or "+" not in text:
        return named_from_text("objective", text, OBJECTIVES.all())
    return together([named_from_text("objective", name.strip(), OBJECTIVES.all()) for name in text.split("+")])


def change_objective(objective: Objective, path: str, text: str) -> Objective:
    """One setting of an objective changed; of several, `path` begins with a part's name ("masked.share"), and a part's
    "weight" is what it counts for."""
    if not isinstance(objective, Together):
        return change(objective, path, text)
    name, _, rest = path.partition(".")
    names = [part.title for part in objective.parts]
    if name not in names or not rest:
        raise SettingError(f"objective.{path}: begin with one of {', '.join(names)}, as in {names[0]}.{WEIGHT}=0.5")
    at, parts, weights = names.index(name), list(objective.parts), list(objective.weights)
    if rest == WEIGHT:
        weights[at] = change(_Weight(), WEIGHT, text).weight
    else:
        parts[at] = change(parts[at], rest, text)
    return together(parts, weights)
