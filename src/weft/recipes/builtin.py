"""The recipes weft brings, registered."""

from weft.recipes import python_stdlib, shakespeare_char, shakespeare_half_hour
from weft.recipes.recipe import RECIPES

for module in (python_stdlib, shakespeare_char, shakespeare_half_hour):
    RECIPES.register(module.recipe.name, module.recipe)
