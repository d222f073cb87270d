"""The recipes weft brings, registered, and the file of each."""

from importlib import import_module
from pathlib import Path

from weft.recipes import pretraining
from weft.recipes.recipe import RECIPES

_FILES = (
    "emoji_clip",
    "emoji_llava",
    "fashion_cct",
    "fashion_hidden",
    "fashion_imagegpt",
    "fashion_views",
    "fashion_vit",
    "multi30k",
    "python_stdlib",
    "shakespeare_char",
    "shakespeare_half_hour",
    "unit_three",
)
SHIPPED: dict[str, Path] = {}  # by the name it is registered under: what `weft cp` copies

for name in _FILES:
    module = import_module(f"weft.recipes.{name}")
    RECIPES.register(module.recipe.name, module.recipe)
    SHIPPED[module.recipe.name] = Path(str(module.__file__))

for recipe in pretraining.recipes:  # of a table: none of them has a file of its own
    RECIPES.register(recipe.name, recipe)
