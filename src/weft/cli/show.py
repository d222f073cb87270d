"""`weft show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from weft.hub import read_blueprint
from weft.models import FAMILIES, Blueprint
from weft.recipes import RECIPES, find
from weft.settings import to_data


def command(name: str, *, as_json: bool) -> None:
    console = Console(highlight=False)
    if name not in RECIPES.names() + FAMILIES.names() and Path(name).is_dir():
        blueprint, title = read_blueprint(Path(name)), name
        shown: dict[str, Any] = {"model": _model(blueprint)}
        story = ""
    else:
        recipe = find(name)
        story, title = recipe.story, recipe.name
        shown = {"model": _model(recipe.model), "data": to_data(recipe.data), "train": to_data(recipe.train)}
        if name in FAMILIES.names():
            shown["sizes"] = {size: _parameters(Blueprint.of(name, size)) for size in FAMILIES.get(name).sizes}
    if as_json:
        print(json.dumps({"name": title} | shown))
        return
    if story:
        console.print(story.strip(), markup=False, soft_wrap=True)
    else:
        console.print(f"[bold]{title}[/]")
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="cyan")
    table.add_column()
    for part, values in shown.items():
        table.add_row()
        for key, value in values.items():
            table.add_row(f"{part}.{key}", _text(value))
    console.print(table)
    console.print(
        "\n[dim]model.*, data.* and train.* can be changed: weft train … --set train.steps=500[/]", soft_wrap=True
    )


def _model(blueprint: Blueprint) -> dict[str, Any]:
    data = blueprint.to_data()
    return {"family": data["family"], "parameters": _parameters(blueprint)} | data["config"] | data["parts"]


def _parameters(blueprint: Blueprint) -> int:
    return sum(parameter.numel() for parameter in blueprint.empty().parameters())


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "default"}[value]
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
