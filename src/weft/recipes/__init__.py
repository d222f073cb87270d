"""Runs shipped with the package, one file each."""

from weft.recipes.find import copy, find
from weft.recipes.recipe import RECIPES, Recipe
from weft.recipes.run import Report, run

__all__ = ["RECIPES", "Recipe", "Report", "copy", "find", "run"]
