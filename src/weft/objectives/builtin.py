"""The objectives weft brings, registered."""

from weft.objectives.likelihood import NextToken, Translate
from weft.objectives.loss import OBJECTIVES
from weft.objectives.masked import MaskedTokens
from weft.objectives.replaced import ReplacedTokens
from weft.objectives.sentences import NextSentence, SentenceOrder

OBJECTIVES.register("masked", MaskedTokens)
OBJECTIVES.register("next_sentence", NextSentence)
OBJECTIVES.register("next_token", NextToken)
OBJECTIVES.register("replaced", ReplacedTokens)
OBJECTIVES.register("sentence_order", SentenceOrder)
OBJECTIVES.register("translate", Translate)
