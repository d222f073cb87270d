"""Runs shipped with the package, one file each."""

from weft.recipes.recipe import RECIPES, Recipe, find
from weft.recipes.run import Report, run

__all__ = ["RECIPES", "Recipe", "Report", "find", "run"]
