"""The objectives weft brings, registered."""

from weft.objectives.loss import OBJECTIVES
from weft.objectives.masked import MaskedTokens
from weft.objectives.next_token import NextToken, Translate

OBJECTIVES.register("masked", MaskedTokens)
OBJECTIVES.register("next_token", NextToken)
OBJECTIVES.register("translate", Translate)
