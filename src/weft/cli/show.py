"""`weft show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from weft.cli.shared import printer
from weft.hub import find, hosted
from weft.hub.about import about
from weft.inspect import describe
from weft.models import FAMILIES, Blueprint
from weft.recipes import RECIPES
from weft.recipes import find as find_recipe
from weft.recipes.account import count_parameters


def command(name: str, *, as_json: bool) -> None:
    """Print every setting of a recipe or family, or the description in a folder or of a repository; a name wins over a
    folder."""
    elsewhere = name not in RECIPES.names() + FAMILIES.names()
    if elsewhere and (Path(name).is_dir() or ("/" in name and hosted(name))):
        blueprint, found = about(find(name))
        story, shown = "", {"folder": found.to_data(), "model": _model(blueprint)}
        description = describe(blueprint)
    else:
        recipe, description = find_recipe(name), None
        story = recipe.story.strip()
        shown = recipe.settings(recipe.model) | {"model": _model(recipe.model)}
        if name in FAMILIES.names():
            shown["sizes"] = {size: count_parameters(Blueprint.of(name, size)) for size in FAMILIES.get(name).sizes}
    if as_json:
        more = {} if description is None else {"description": description.to_data()}
        print(json.dumps({"name": name} | shown | more))
        return
    console = printer()
    console.print(story or Text(name, style="bold"), soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="cyan")
    table.add_column()
    for part, values in shown.items():
        table.add_row()
        for key, value in values.items():
            table.add_row(f"{part}.{key}", _text(value))
    console.print(table)
    if description is not None:
        console.print()
        console.print(description)
    hint = "\nmodel.*, objective.*, data.* and train.* can be changed: weft train … --set train.steps=500"
    console.print(Text(hint, style="dim"), soft_wrap=True)


def _model(blueprint: Blueprint) -> dict[str, Any]:
    """A description, flat, with the number of parameters."""
    data = blueprint.to_data()
    return {"family": data["family"], "parameters": count_parameters(blueprint)} | data["config"] | data["parts"]


def _text(value: object) -> str:
    """A setting's value for people."""
    if isinstance(value, dict) and "name" in value:
        return str(value["name"]) + "".join(f", {key} {_text(item)}" for key, item in value.items() if key != "name")
    if isinstance(value, dict) and "class" in value:
        return str(value["class"]).lower() + "".join(f" {k}={v}" for k, v in value.items() if k != "class" and v)
    if isinstance(value, dict) and all(isinstance(count, int) for count in value.values()):
        return ", ".join(f"{count:,} of {name}" for name, count in value.items()) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
