"""`weft list`."""

from __future__ import annotations

import json

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
    for kind, listed in names.items():
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, title=kind, title_style="bold cyan", title_justify="left")
        table.add_column(min_width=18)
        table.add_column(style="dim")
        if kind == "recipes":
            for name in listed:
                table.add_row(name, RECIPES.get(name).story.strip().split("\n")[0])
        elif kind == "families":
            for name in listed:
                family = FAMILIES.get(name)
                table.add_row(name, f"{family.summary}; sizes {', '.join(family.sizes)}")
        else:
            table.add_row(", ".join(listed), "")
        console.print(table)
        console.print()
    console.print("[dim]weft show NAME tells more of a recipe, a family or a trained folder[/]")
