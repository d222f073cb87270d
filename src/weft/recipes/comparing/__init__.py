"""Objectives and families compared: pretrained at equal operations and at equal tokens, then fine-tuned alike."""

from weft.recipes.comparing.comparison import COMPARISONS, Candidate, Comparison, FineTuning
from weft.recipes.comparing.find import copy_comparison, find_comparison, read_comparison
from weft.recipes.comparing.run import Compared, compare

__all__ = [
    "COMPARISONS",
    "Candidate",
    "Compared",
    "Comparison",
    "FineTuning",
    "compare",
    "copy_comparison",
    "find_comparison",
    "read_comparison",
]
