"""`weft cp`."""

from __future__ import annotations

import shlex
from pathlib import Path

from weft.cli.shared import printer
from weft.recipes import copy
from weft.recipes.comparing import COMPARISONS, copy_comparison


def command(name: str, file: Path) -> None:
    """Write the file of a recipe, or of a comparison, and say what to do with it."""
    verb, write = ("compare", copy_comparison) if name in COMPARISONS.names() else ("train", copy)
    write(name, file)
    printer().print(f"{file} is yours to edit; run it with: weft {verb} {shlex.quote(str(file))}", soft_wrap=True)
