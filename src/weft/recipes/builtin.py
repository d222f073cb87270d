"""The recipes weft brings, registered."""

from weft.recipes import python_stdlib, shakespeare_char
from weft.recipes.recipe import RECIPES

for module in (python_stdlib, shakespeare_char):
    RECIPES.register(module.recipe.name, module.recipe)
