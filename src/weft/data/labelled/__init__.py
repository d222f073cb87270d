"""Labelled data: read from files, each example with where it stands, and made into rows of token ids.

train = read_classified("train.tsv", text="1", label="2", header=False)
labels = Labels.collect(train)
rows = encode_classified(train, labels, tokenizer, 128).rows
"""

from weft.data.labelled.batches import Line, Padded
from weft.data.labelled.columns import read_columns
from weft.data.labelled.conll import CONLLU, Sentence, TaggedWord, read_conll, read_conllu, tagged_words
from weft.data.labelled.encode import (
    ChoiceRow,
    Row,
    Rows,
    encode_choices,
    encode_classified,
    encode_scored,
    encode_texts,
)
from weft.data.labelled.encode_questions import NO_ANSWER, Window, Windows, answer_tokens, encode_questions
from weft.data.labelled.encode_tags import TagRow, TagRows, encode_tags
from weft.data.labelled.labels import Labels
from weft.data.labelled.rows import (
    Choice,
    Classified,
    Scored,
    Unlabelled,
    read_choices,
    read_classified,
    read_scored,
    read_unlabelled,
)
from weft.data.labelled.schemes import Scheme, entity_labels, find_scheme, to_iob2
from weft.data.labelled.some import choose_some
from weft.data.labelled.squad import Answer, Question, read_squad
from weft.data.labelled.texts import TextRow, read_texts
from weft.data.labelled.where import Where

__all__ = [
    "CONLLU",
    "NO_ANSWER",
    "Answer",
    "Choice",
    "ChoiceRow",
    "Classified",
    "Labels",
    "Line",
    "Padded",
    "Question",
    "Row",
    "Rows",
    "Scheme",
    "Scored",
    "Sentence",
    "TagRow",
    "TagRows",
    "TaggedWord",
    "TextRow",
    "Unlabelled",
    "Where",
    "Window",
    "Windows",
    "answer_tokens",
    "choose_some",
    "encode_choices",
    "encode_classified",
    "encode_questions",
    "encode_scored",
    "encode_tags",
    "encode_texts",
    "entity_labels",
    "find_scheme",
    "read_choices",
    "read_classified",
    "read_columns",
    "read_conll",
    "read_conllu",
    "read_scored",
    "read_squad",
    "read_texts",
    "read_unlabelled",
    "tagged_words",
    "to_iob2",
]
