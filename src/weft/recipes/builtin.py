"""The recipes weft brings, registered, and the file of each."""

from importlib import import_module
from pathlib import Path

from weft.recipes import pretraining
from weft.recipes.recipe import RECIPES

_FILES = (
    "bach",
    "cartpole_cloning",
    "cartpole_decision",
    "digits_ctc",
    "digits_whisper",
    "emoji_clip",
    "emoji_diffusion",
    "emoji_llava",
    "emoji_siglip",
    "fashion_cct",
    "fashion_codes",
    "fashion_diffusion",
    "fashion_hidden",
    "fashion_imagegpt",
    "fashion_views",
    "fashion_vit",
    "fashion_vqgan",
    "multi30k",
    "pendulum_cloning",
    "pendulum_decision",
    "perceiver_digits",
    "perceiver_fashion",
    "python_stdlib",
    "shakespeare_char",
    "shakespeare_half_hour",
    "sunspots",
    "unit_three",
)
SHIPPED: dict[str, Path] = {}  # by the name it is registered under: what `weft cp` copies

for name in _FILES:
    module = import_module(f"weft.recipes.{name}")
    RECIPES.register(module.recipe.name, module.recipe)
    SHIPPED[module.recipe.name] = Path(str(module.__file__))

for recipe in pretraining.recipes:  # of a table: none of them has a file of its own
    RECIPES.register(recipe.name, recipe)
