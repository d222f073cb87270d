"""Fine-tuning a model for a task, and what it says afterwards."""

from weft.recipes.tuning.description import Columns, Description, Reading
from weft.recipes.tuning.kinds import KINDS
from weft.recipes.tuning.predict import Predicted, predict
from weft.recipes.tuning.prepare import USUAL, Tuning, planned
from weft.recipes.tuning.run import Outcome, settled, tune
from weft.recipes.tuning.tuned import Tuned, read_tuned

__all__ = [
    "KINDS",
    "USUAL",
    "Columns",
    "Description",
    "Outcome",
    "Predicted",
    "Reading",
    "Tuned",
    "Tuning",
    "planned",
    "predict",
    "read_tuned",
    "settled",
    "tune",
]
