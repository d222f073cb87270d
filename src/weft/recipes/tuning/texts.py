"""Tasks of a row as a whole: its class, its number; and which of several rows is the right one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from weft.batch import Tokenizer
from weft.data.labelled import (
    Labels,
    Line,
    Padded,
    encode_choices,
    encode_classified,
    encode_scored,
    encode_texts,
    read_choices,
    read_classified,
    read_scored,
    read_unlabelled,
)
from weft.data.labelled.encode import Row
from weft.data.sources import Say
from weft.evaluate import Metric, Needs
from weft.evaluate.calibration import softmax
from weft.objectives.tasks import Choose, Classify, Regress
from weft.recipes.tuning.description import Columns, Description
from weft.recipes.tuning.kind import Encoded, How, Kind


class Texts(Encoded):
    """Rows, or several for each example, with what each is asked."""

    def __init__(
        self, samples: Sequence[Sequence[Row[Any]]], asked: Sequence[int | float], tokenizer: Tokenizer
    ) -> None:
        """asked: of each sample; none where nobody knows."""
        told = [{"label": value} for value in asked] or [{} for _ in samples]
        self.asked = list(asked)
        self.data = Padded(
            [
                tuple(Line(row.ids, row.types, None, what) for row in rows)
                for rows, what in zip(samples, told, strict=True)
            ],
            tokenizer.end,
        )

    def gold(self, needs: Needs) -> list[Any]:
        return self.asked


class ClassTexts(Texts):
    """Of classes; metrics read their numbers."""

    names: tuple[str, ...] = ()

    def predicted(self, scores: Sequence[np.ndarray], needs: Needs) -> list[Any]:
        if needs == "probabilities":
            return [softmax(row).tolist() for row in scores]
        return [int(row.argmax()) for row in scores]

    def lines(self, scores: Sequence[np.ndarray]) -> Iterator[dict[str, Any]]:
        for row in scores:
            shares = dict(zip(self.names, softmax(row).tolist(), strict=True))
            yield {"label": self.names[int(row.argmax())], "probabilities": shares}


def unlabelled(path: Path, columns: Columns) -> list[Any]:
    """Texts, or pairs, of which nothing is known yet."""
    return list(read_unlabelled(path, text=columns.text or "text", second=columns.pair, header=columns.headed))


class Classes(Kind):
    """A class of each text, or pair of texts."""

    learns = Classify
    hears = frozenset({"text", "pair", "label", "header", "labels", "pooling", "language"})
    gives = ("classes", "probabilities")
    metric = "accuracy"

    def read(self, path: Path, columns: Columns, *, labelled: bool) -> list[Any]:
        if not labelled:
            return unlabelled(path, columns)
        text, label = columns.text or "text", columns.label or "label"
        return list(read_classified(path, text=text, second=columns.pair, label=label, header=columns.headed))

    def labels(self, examples: Sequence[Any], metric: Metric) -> tuple[str, ...]:
        return Labels.collect(examples).names

    def groups(self, examples: Sequence[Any]) -> Sequence[str]:
        return [example.label for example in examples]

    def absent(self, examples: Sequence[Any], labels: tuple[str, ...], metric: Metric) -> tuple[str, ...]:
        return Labels(labels).absent(examples)

    def objective(self, examples: Sequence[Any], labels: tuple[str, ...], how: How) -> Classify:
        return Classify(how.dropout, how.layers, how.pooling, how.language, classes=len(labels))

    def encode(
        self, examples: Sequence[Any], description: Description, tokenizer: Tokenizer, say: Say, *, labelled: bool
    ) -> ClassTexts:
        context = description.reading.context
        if labelled:
            rows = encode_classified(examples, Labels(description.labels), tokenizer, context, say=say).rows
            found = ClassTexts([(row,) for row in rows], [row.label for row in rows], tokenizer)
        else:
            rows = encode_texts(examples, tokenizer, context, say=say).rows
            found = ClassTexts([(row,) for row in rows], [], tokenizer)
        found.names = description.labels
        return found


class NumberTexts(Texts):
    """Of numbers."""

    def predicted(self, scores: Sequence[np.ndarray], needs: Needs) -> list[Any]:
        return [float(row[0]) for row in scores]

    def lines(self, scores: Sequence[np.ndarray]) -> Iterator[dict[str, Any]]:
        return ({"score": float(row[0])} for row in scores)


class Numbers(Kind):
    """A number of each text, or pair of texts."""

    learns = Regress
    hears = frozenset({"text", "pair", "label", "header", "pooling", "language"})
    gives = ("numbers",)
    metric = "pearson"

    def read(self, path: Path, columns: Columns, *, labelled: bool) -> list[Any]:
        if not labelled:
            return unlabelled(path, columns)
        text, score = columns.text or "text", columns.label or "label"
        return list(read_scored(path, text=text, second=columns.pair, score=score, header=columns.headed))

    def objective(self, examples: Sequence[Any], labels: tuple[str, ...], how: How) -> Regress:
        return Regress(how.dropout, how.layers, how.pooling, how.language)

    def encode(
        self, examples: Sequence[Any], description: Description, tokenizer: Tokenizer, say: Say, *, labelled: bool
    ) -> NumberTexts:
        context = description.reading.context
        if labelled:
            rows = encode_scored(examples, tokenizer, context, say=say).rows
            return NumberTexts([(row,) for row in rows], [row.label for row in rows], tokenizer)
        rows = encode_texts(examples, tokenizer, context, say=say).rows
        return NumberTexts([(row,) for row in rows], [], tokenizer)


class ChoiceTexts(Texts):
    """Of texts to choose among: as many rows for each example. first: the number of the first of them, as the labels
    count."""

    first: int = 0

    def _sets(self, scores: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(list(scores)).reshape(len(self.data), -1)  # [N, choices]

    def predicted(self, scores: Sequence[np.ndarray], needs: Needs) -> list[Any]:
        found = self._sets(scores)
        return softmax(found).tolist() if needs == "probabilities" else found.argmax(axis=1).tolist()

    def lines(self, scores: Sequence[np.ndarray]) -> Iterator[dict[str, Any]]:
        for shares in softmax(self._sets(scores)):
            yield {"choice": self.first + int(shares.argmax()), "probabilities": shares.tolist()}


class Choices(Kind):
    """Which of several texts goes with each text; counted from 0, or as the labels are."""

    learns = Choose
    hears = frozenset({"text", "label", "choices", "first", "header", "pooling", "language"})
    gives = ("classes", "probabilities")
    metric = "accuracy"

    def read(self, path: Path, columns: Columns, *, labelled: bool) -> list[Any]:
        label = (columns.label or "label") if labelled else None
        names = partial(read_choices, path, columns.choices, text=columns.text or "text", label=label)
        return names(first=columns.first or 0, header=columns.headed)

    def two(self, columns: Columns) -> bool:
        return True

    def classes(self, examples: Sequence[Any], labels: tuple[str, ...]) -> int:
        return len(examples[0].choices)

    def objective(self, examples: Sequence[Any], labels: tuple[str, ...], how: How) -> Choose:
        return Choose(how.dropout, how.layers, how.pooling, how.language, choices=len(examples[0].choices))

    def encode(
        self, examples: Sequence[Any], description: Description, tokenizer: Tokenizer, say: Say, *, labelled: bool
    ) -> ChoiceTexts:
        rows = encode_choices(examples, tokenizer, description.reading.context, say=say)
        asked = [row.label for row in rows] if labelled else []
        found = ChoiceTexts([row.choices for row in rows], asked, tokenizer)
        found.first = description.columns.first or 0
        return found
