"""The objectives weft brings, registered."""

from weft.objectives.likelihood import NextToken, Translate
from weft.objectives.loss import OBJECTIVES
from weft.objectives.masked import MaskedTokens

OBJECTIVES.register("masked", MaskedTokens)
OBJECTIVES.register("next_token", NextToken)
OBJECTIVES.register("translate", Translate)
