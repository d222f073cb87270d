"""Odd configurations of every published family, in the reference's words: a file each, with a tuple of cases by family.

To add a family: a file here, with `CASES = {"name": (Case(…), …)}`. At least two of each; sizes that are no powers of
two, heads that divide nothing, other numbers than the defaults.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """kind, config: the reference's classes; fields: of the config. greedy: False where the reference's own tokens
    depend on how it was called. apart: a tied head that is given a weight of its own. avoid: ids that are left out,
    beside 0, since the reference infers padding from them."""

    kind: str
    config: str
    fields: dict[str, Any] = field(hash=False)
    greedy: bool = True
    apart: str = ""
    avoid: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}-{'-'.join(f'{name}={value}' for name, value in self.fields.items())}"


def every() -> dict[str, tuple[Case, ...]]:
    """The cases of all files in this folder, by family."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    return {family: cases for name in names for family, cases in importlib.import_module(f"odd.{name}").CASES.items()}
