"""What a batch is turned into and what is minimised."""

from weft.objectives.loss import OBJECTIVES, Loss, Objective, Turns, ids, predicted, turned
from weft.objectives.masked import MaskedTokens
from weft.objectives.next_token import NextToken, Translate, layout

__all__ = [
    "OBJECTIVES",
    "Loss",
    "MaskedTokens",
    "NextToken",
    "Objective",
    "Translate",
    "Turns",
    "ids",
    "layout",
    "predicted",
    "turned",
]
