"""The objectives weft brings, registered."""

from weft.objectives.loss import OBJECTIVES
from weft.objectives.next_token import NextToken, Translate

OBJECTIVES.register("next_token", NextToken)
OBJECTIVES.register("translate", Translate)
