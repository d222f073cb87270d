"""Odd configurations of every published family, in the reference's words: a file each, with a tuple of cases by family.

To add a family: a file here, with `CASES = {"name": (Case(…), …)}`. At least two of each; sizes that are no powers of
two, heads that divide nothing, other numbers than the defaults.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn


class Given(ABC):
    """What a reference's model and ours are both given, and what they are compared by."""

    @abstractmethod
    def theirs(self, model: Any, *, states: bool = False) -> Tensor:
        """The reference's scores; of a class without a head, or asked for `states`, its states."""

    @abstractmethod
    def ours(self, module: nn.Module) -> Tensor:
        """Ours, with a graph."""

    @abstractmethod
    def learned(self, model: Any, module: nn.Module) -> tuple[Tensor, Tensor]:
        """The parameters nearest to what is given, theirs and ours, whose gradients are compared as they lie."""

    def kept(self, scores: Tensor) -> Tensor:
        """Without padding."""
        return scores

    def same_tokens(self, model: Any, module: nn.Module) -> bool | None:
        """Whether both write the same tokens, the likeliest each time; None where nothing is written."""
        return None


@dataclass(frozen=True)
class Case:
    """kind, config: the reference's classes; fields: of the config. greedy: False where the reference's own tokens
    depend on how it was called. apart: a tied head that is given a weight of its own. avoid: ids that are left out,
    beside 0, since the reference infers padding from them. given: of a model that reads signals, what makes them of
    the reference's config; None: rows of ids."""

    kind: str
    config: str
    fields: dict[str, Any] = field(hash=False)
    greedy: bool = True
    apart: str = ""
    avoid: tuple[int, ...] = ()
    given: Callable[[Any], Given] | None = None

    def __str__(self) -> str:
        return f"{self.kind}-{'-'.join(f'{name}={value}' for name, value in self.fields.items())}"


def every() -> dict[str, tuple[Case, ...]]:
    """The cases of all files in this folder, by family."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    files = [importlib.import_module(f"odd.{name}") for name in names]
    return {family: cases for file in files for family, cases in vars(file).get("CASES", {}).items()}
