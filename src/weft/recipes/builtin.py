"""The recipes weft brings, registered, and the file of each."""

from pathlib import Path

from weft.recipes import (
    bach,
    fashion_vit,
    multi30k,
    pretraining,
    python_stdlib,
    shakespeare_char,
    shakespeare_half_hour,
    sunspots,
)
from weft.recipes.recipe import RECIPES

SHIPPED: dict[str, Path] = {}  # by the name it is registered under: what `weft cp` copies

for module in (bach, fashion_vit, multi30k, python_stdlib, shakespeare_char, shakespeare_half_hour, sunspots):
    RECIPES.register(module.recipe.name, module.recipe)
    SHIPPED[module.recipe.name] = Path(str(module.__file__))

for recipe in pretraining.recipes:  # of a table: none of them has a file of its own
    RECIPES.register(recipe.name, recipe)
