"""The objectives weft brings, registered."""

from weft.objectives.actions import Actions
from weft.objectives.autoencode import Autoencode
from weft.objectives.boundary import SpanBoundary
from weft.objectives.by_task import ByTask
from weft.objectives.classes import Classes
from weft.objectives.contrast import Contrast
from weft.objectives.ctc import CTC
from weft.objectives.diffusion import Diffusion
from weft.objectives.distil import Distil, DistilMasked
from weft.objectives.loss import OBJECTIVES
from weft.objectives.masked import MaskedTokens
from weft.objectives.matched import ContrastPairs, SigmoidPairs
from weft.objectives.patches_hidden import HiddenPatches
from weft.objectives.replaced import ReplacedTokens
from weft.objectives.sentences import NextSentence, SentenceOrder
from weft.objectives.series import MaskedVectors, NextVector
from weft.objectives.table import BertStyle, Damaged, Deshuffle, DropTokens, Mass, Prefix, ReplaceSpans, Spans
from weft.objectives.views import Views
from weft.objectives.writing import NextToken, Translate

OBJECTIVES.register("actions", Actions)
OBJECTIVES.register("autoencode", Autoencode)
OBJECTIVES.register("bert_style", BertStyle)
OBJECTIVES.register("classes", Classes)
OBJECTIVES.register("contrast", Contrast)
OBJECTIVES.register("contrast_pairs", ContrastPairs)
OBJECTIVES.register("ctc", CTC)
OBJECTIVES.register("denoise", Damaged)
OBJECTIVES.register("deshuffle", Deshuffle)
OBJECTIVES.register("diffusion", Diffusion)
OBJECTIVES.register("distil", Distil)
OBJECTIVES.register("distil_masked", DistilMasked)
OBJECTIVES.register("drop_tokens", DropTokens)
OBJECTIVES.register("hidden_patches", HiddenPatches)
OBJECTIVES.register("masked_vectors", MaskedVectors)
OBJECTIVES.register("mass", Mass)
OBJECTIVES.register("masked", MaskedTokens)
OBJECTIVES.register("next_sentence", NextSentence)
OBJECTIVES.register("next_token", NextToken)
OBJECTIVES.register("next_vector", NextVector)
OBJECTIVES.register("prefix", Prefix)
OBJECTIVES.register("replace_spans", ReplaceSpans)
OBJECTIVES.register("replaced", ReplacedTokens)
OBJECTIVES.register("sentence_order", SentenceOrder)
OBJECTIVES.register("sigmoid_pairs", SigmoidPairs)
OBJECTIVES.register("span_boundary", SpanBoundary)
OBJECTIVES.register("spans", Spans)
OBJECTIVES.register("tasks", ByTask)
OBJECTIVES.register("translate", Translate)
OBJECTIVES.register("views", Views)
