"""The recipes weft brings, registered, and the file of each."""

from pathlib import Path

from weft.recipes import (
    cartpole_cloning,
    cartpole_decision,
    fashion_cct,
    fashion_hidden,
    fashion_imagegpt,
    fashion_views,
    fashion_vit,
    multi30k,
    pendulum_cloning,
    pendulum_decision,
    pretraining,
    python_stdlib,
    shakespeare_char,
    shakespeare_half_hour,
)
from weft.recipes.recipe import RECIPES

SHIPPED: dict[str, Path] = {}  # by the name it is registered under: what `weft cp` copies

for module in (
    cartpole_cloning,
    cartpole_decision,
    fashion_cct,
    fashion_hidden,
    fashion_imagegpt,
    fashion_views,
    fashion_vit,
    multi30k,
    pendulum_cloning,
    pendulum_decision,
    python_stdlib,
    shakespeare_char,
    shakespeare_half_hour,
):
    RECIPES.register(module.recipe.name, module.recipe)
    SHIPPED[module.recipe.name] = Path(str(module.__file__))

for recipe in pretraining.recipes:  # of a table: none of them has a file of its own
    RECIPES.register(recipe.name, recipe)
