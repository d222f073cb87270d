"""`weft cp`."""

from __future__ import annotations

import shlex
from pathlib import Path

from weft.cli.shared import printer
from weft.recipes import copy


def command(name: str, file: Path) -> None:
    """Write the recipe's file, and say what to do with it."""
    copy(name, file)
    printer().print(f"{file} is yours to edit; run it with: weft train {shlex.quote(str(file))}", soft_wrap=True)
