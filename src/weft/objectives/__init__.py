"""What a batch is turned into and what is minimised."""

from weft.objectives.loss import OBJECTIVES, Loss, Objective
from weft.objectives.next_token import NextToken, Translate, layout

__all__ = ["OBJECTIVES", "Loss", "NextToken", "Objective", "Translate", "layout"]
