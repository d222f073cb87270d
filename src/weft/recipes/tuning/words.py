"""A tag for each word of a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weft.batch import Tokenizer
from weft.data.labelled import (
    CONLLU,
    Labels,
    Line,
    Padded,
    Sentence,
    encode_tags,
    entity_labels,
    read_conll,
    read_conllu,
    tagged_words,
    to_iob2,
)
from weft.data.labelled.encode_tags import TagRows
from weft.data.sources import Say
from weft.evaluate import METRICS, Metric, Needs
from weft.objectives.tasks import Tag
from weft.recipes.tuning.description import Columns, Description
from weft.recipes.tuning.kind import Encoded, How, Kind

PLAIN = "token_accuracy"  # the metric of tags that mark no entities


class Tagged(Encoded):
    """Sentences, whole or divided, of which a word's tag is read from its first piece."""

    def __init__(
        self, sentences: Sequence[Sentence], rows: TagRows, names: tuple[str, ...], tokenizer: Tokenizer
    ) -> None:
        self.sentences, self.rows, self.names = sentences, rows, names
        self.data = Padded([(Line(row.ids, row.types, row.labels),) for row in rows.rows], tokenizer.end)

    def predicted(self, scores: Sequence[np.ndarray], needs: Needs) -> list[Any]:
        numbers = self.rows.by_word([row.argmax(axis=-1) for row in scores])
        return [[self.names[number] for number in sentence] for sentence in numbers]

    def gold(self, needs: Needs) -> list[Any]:
        return [list(sentence.tags) for sentence in self.sentences]

    def lines(self, scores: Sequence[np.ndarray]) -> Iterator[dict[str, Any]]:
        for sentence, tags in zip(self.sentences, self.predicted(scores, "tags"), strict=True):
            yield {"words": list(sentence.words), "tags": tags}


class Words(Kind):
    """Tags of words: of entities, read as IOB1 or IOB2 and learned as IOB2, or any other (parts of speech)."""

    learns = Tag
    hears = frozenset({"text", "label", "labels", "every_piece"})
    gives = ("tags",)
    metric = "entity_f1"

    def read(self, path: Path, columns: Columns, *, labelled: bool) -> list[Any]:
        if ".conllu" in path.suffixes:
            if labelled and columns.text not in (None, CONLLU[1]):
                raise ValueError(
                    f"{path}: CoNLL-U has words in the column {CONLLU[1]}, not in {columns.text!r}: leave --text out, "
                    f"or say --text {CONLLU[1]} where the model was tuned with another"
                )
            return read_conllu(path, tag=(columns.label or "UPOS") if labelled else CONLLU[1])
        token, tag = (None if name is None else _number(name) for name in (columns.text, columns.label))
        return read_conll(path, token=token or 1, tag=tag, tagged=labelled)

    def usual(self, examples: Sequence[Any]) -> str:
        """Of entities where some tag is O and some begins with B- or I-."""
        tags = {tag for sentence in examples for tag in sentence.tags}
        return self.metric if "O" in tags and any(tag[:2] in ("B-", "I-") for tag in tags) else PLAIN

    def labels(self, examples: Sequence[Any], metric: Metric) -> tuple[str, ...]:
        if metric.name == PLAIN:
            return Labels.collect(tagged_words(list(examples))).names
        return entity_labels(to_iob2(examples)).names

    def absent(self, examples: Sequence[Any], labels: tuple[str, ...], metric: Metric) -> tuple[str, ...]:
        """Of tags that mark no entities; a type of them without a word I- is nothing strange."""
        found = Labels(labels).absent(tagged_words(_as_learned(examples, metric)))
        return found if metric.name == PLAIN else ()

    def objective(self, examples: Sequence[Any], labels: tuple[str, ...], how: How) -> Tag:
        return Tag(how.dropout, how.layers, classes=len(labels))

    def encode(
        self, examples: Sequence[Any], description: Description, tokenizer: Tokenizer, say: Say, *, labelled: bool
    ) -> Tagged:
        if labelled:
            examples = _as_learned(examples, METRICS.get(description.metric))
        labels, reading = Labels(description.labels) if labelled else None, description.reading
        rows = encode_tags(examples, labels, tokenizer, reading.context, every_piece=reading.every_piece, say=say)
        return Tagged(examples, rows, description.labels, tokenizer)


def _as_learned(sentences: Sequence[Any], metric: Metric) -> list[Sentence]:
    return list(sentences) if metric.name == PLAIN else to_iob2(sentences)


def _number(column: str) -> int:
    """A column of CoNLL's. ValueError for a name."""
    if not column.isdecimal():
        raise ValueError(f"column {column!r}: the columns of tagged words have no names; give a number from 1")
    return int(column)
