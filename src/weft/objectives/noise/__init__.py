"""How objectives of pretraining change a text: pure functions of its ids, of settings and of a generator.

`ids` are int64 [n], the ordinary tokens of one document or row: what begins or ends a text is not among them. `spans`
draws which places are hidden, `masking` what becomes of them; `rows` has what makes inputs and targets, `damage` what
is to be undone.
"""

from weft.objectives.noise.damage import (
    DocumentRotation,
    Noise,
    SentencePermutation,
    TextInfilling,
    TokenDeletion,
    TokenMasking,
    noised,
)
from weft.objectives.noise.marks import Marks
from weft.objectives.noise.masking import HIDDEN, KEPT, RANDOM, Changes, Replacement
from weft.objectives.noise.rows import (
    BertStyle,
    Deshuffling,
    DropTokens,
    MassStyle,
    PrefixLanguageModel,
    RandomSpans,
    ReplaceSpans,
    Row,
    sentinelled,
)
from weft.objectives.noise.spans import Span, choose, covered, geometric, poisson, runs, segments, whole_words
from weft.objectives.noise.words import Words

__all__ = [
    "HIDDEN",
    "KEPT",
    "RANDOM",
    "BertStyle",
    "Changes",
    "Deshuffling",
    "DocumentRotation",
    "DropTokens",
    "Marks",
    "MassStyle",
    "Noise",
    "PrefixLanguageModel",
    "RandomSpans",
    "ReplaceSpans",
    "Replacement",
    "Row",
    "SentencePermutation",
    "Span",
    "TextInfilling",
    "TokenDeletion",
    "TokenMasking",
    "Words",
    "choose",
    "covered",
    "geometric",
    "noised",
    "poisson",
    "runs",
    "segments",
    "sentinelled",
    "whole_words",
]
