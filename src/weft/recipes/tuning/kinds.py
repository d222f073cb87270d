"""The tasks by name."""

from weft.recipes.tuning.kind import Kind
from weft.recipes.tuning.questions import Questions
from weft.recipes.tuning.texts import Choices, Classes, Numbers
from weft.recipes.tuning.words import Words
from weft.registry import Registry

KINDS: Registry[Kind] = Registry("task", "weft.tasks")
KINDS.register("answer", Questions())
KINDS.register("choose", Choices())
KINDS.register("classify", Classes())
KINDS.register("regress", Numbers())
KINDS.register("tag", Words())
