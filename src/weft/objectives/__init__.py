"""What a batch is turned into and what is minimised."""

from weft.objectives.described import (
    change_objective,
    objective_from_data,
    objective_from_text,
    objective_to_data,
)
from weft.objectives.likelihood import Likelihood, NextToken, Translate, layout
from weft.objectives.loss import OBJECTIVES, TERM, Loss, Objective
from weft.objectives.masked import MaskedTokens
from weft.objectives.reading import Headed, Reading
from weft.objectives.together import Together
from weft.objectives.wrapped import Wrapped, bare

__all__ = [
    "OBJECTIVES",
    "TERM",
    "Headed",
    "Likelihood",
    "Loss",
    "MaskedTokens",
    "NextToken",
    "Objective",
    "Reading",
    "Together",
    "Translate",
    "Wrapped",
    "bare",
    "change_objective",
    "layout",
    "objective_from_data",
    "objective_from_text",
    "objective_to_data",
]
