"""What a batch is turned into and what is minimised."""

from weft.objectives.classes import Classes
from weft.objectives.described import (
    change_objective,
    objective_from_data,
    objective_from_text,
    objective_to_data,
)
from weft.objectives.loss import OBJECTIVES, TERM, Loss, Objective
from weft.objectives.masked import MaskedTokens
from weft.objectives.reading import Headed, Reading
from weft.objectives.replaced import ReplacedTokens
from weft.objectives.sentences import NextSentence, SentenceOrder
from weft.objectives.together import Together
from weft.objectives.wrapped import Wrapped, bare, kept
from weft.objectives.writing import NextToken, Translate, Writing, layout

__all__ = [
    "OBJECTIVES",
    "TERM",
    "Classes",
    "Headed",
    "Loss",
    "MaskedTokens",
    "NextSentence",
    "NextToken",
    "Objective",
    "Reading",
    "ReplacedTokens",
    "SentenceOrder",
    "Together",
    "Translate",
    "Wrapped",
    "Writing",
    "bare",
    "change_objective",
    "kept",
    "layout",
    "objective_from_data",
    "objective_from_text",
    "objective_to_data",
]
