"""The tasks by name."""

from weft.recipes.tuning.kind import Kind
from weft.recipes.tuning.questions import Questions
from weft.recipes.tuning.texts import Choices, Classes, Numbers
from weft.recipes.tuning.words import Words

KINDS: dict[str, Kind] = {
    "answer": Questions(),
    "choose": Choices(),
    "classify": Classes(),
    "regress": Numbers(),
    "tag": Words(),
}
