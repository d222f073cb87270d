"""`weft list`."""

from __future__ import annotations

import json
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from weft.data import SOURCES, TOKENIZERS
from weft.models import FAMILIES
from weft.nn import KERNELS, SCHEMES
from weft.objectives import OBJECTIVES
from weft.recipes import RECIPES


def command(*, as_json: bool) -> None:
    names = {
        "recipes": RECIPES.names(),
        "families": FAMILIES.names(),
        "positions": list(SCHEMES),
        "kernels": list(KERNELS),
        "objectives": OBJECTIVES.names(),
        "sources": SOURCES.names(),
        "tokenizers": TOKENIZERS.names(),
    }
    if as_json:
        print(json.dumps(names))
        return
    console = Console(highlight=False)
    told = {
        "recipes": {name: _told(name, _recipe) for name in names["recipes"]},
        "families": {name: _told(name, _family) for name in names["families"]},
    }
    wide = max(map(len, (name for names in told.values() for name in names)))
    for kind, listed in told.items():
        console.print(f"[bold cyan]{kind}[/]")
        table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
        table.add_column(min_width=wide, no_wrap=True)
        table.add_column(style="dim")
        for name, summary in listed.items():
            table.add_row(name, summary)
        console.print(table)
        console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="bold cyan", min_width=wide + 2)
    table.add_column()
    for kind in [kind for kind in names if kind not in told]:
        table.add_row(kind, ", ".join(names[kind]))
    console.print(table)
    console.print("\n[dim]weft show NAME tells more of a recipe, a family or a trained folder[/]")


def _told(name: str, tell: Callable[[str], str]) -> str:
    """What there is to say of a name; another distribution's plug-in may be broken, which is no reason to stop."""
    try:
        return tell(name)
    except Exception as error:
        return f"cannot be loaded: {error}"


def _recipe(name: str) -> str:
    return RECIPES.get(name).summary


def _family(name: str) -> str:
    family = FAMILIES.get(name)
    return f"{family.summary}; sizes {', '.join(family.sizes)}"
