"""Questions that a part of a text answers, or nothing of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from weft.batch import Tokenizer
from weft.data.labelled import NO_ANSWER, Line, Padded, Question, Window, encode_questions, read_squad
from weft.data.sources import Say
from weft.evaluate import Needs
from weft.objectives.tasks import Answer
from weft.recipes.tuning.description import Columns, Description
from weft.recipes.tuning.kind import Encoded, How, Kind

QUESTION = 64  # tokens of a question at the most, and no more than a third of the row


class Found(NamedTuple):
    """The best span's text and score over all windows of a question, and the score of there being none."""

    text: str
    score: float
    nothing: float


class Asked(Encoded):
    """Windows of questions. The answer is the span of the highest start + stop over all windows; none where the lowest
    score of the first token, over all windows, is higher (Devlin et al. 2019, §4.3, run_squad's threshold 0)."""

    def __init__(
        self, questions: Sequence[Question], windows: Sequence[Window], objective: Answer, tokenizer: Tokenizer
    ) -> None:
        self.questions, self.windows, self.objective = questions, windows, objective
        lines = [Line(w.ids, w.types, None, {"start": w.start, "stop": w.stop}) for w in windows]
        self.data = Padded([(line,) for line in lines], tokenizer.end)

    def found(self, scores: Sequence[np.ndarray]) -> list[Found]:
        """Of each question."""
        best = [Found("", -np.inf, np.inf) for _ in self.questions]
        for window, row in zip(self.windows, scores, strict=True):
            before, nothing = best[window.question], float(row[NO_ANSWER].sum())
            text, score = _best(window, row, self.objective.longest)
            if score > before.score:
                before = before._replace(text=text, score=score)
            best[window.question] = before._replace(nothing=min(before.nothing, nothing))
        return best

    def predicted(self, scores: Sequence[np.ndarray], needs: Needs) -> list[Any]:
        return [self._said(found) for found in self.found(scores)]

    def _said(self, found: Found) -> str:
        return "" if self.objective.impossible and found.nothing > found.score else found.text

    def gold(self, needs: Needs) -> list[Any]:
        return [[answer.text for answer in question.answers] for question in self.questions]

    def lines(self, scores: Sequence[np.ndarray]) -> Iterator[dict[str, Any]]:
        for question, found in zip(self.questions, self.found(scores), strict=True):
            yield {"id": question.id, "answer": self._said(found), "no_answer": found.nothing - found.score}


def _best(window: Window, scores: np.ndarray, longest: int) -> tuple[str, float]:
    """The span of the context of at most `longest` tokens with the highest score. scores: [T, 2]."""
    part = scores[window.first : window.first + window.count].astype(np.float64)  # [C, 2]
    if not len(part):
        return "", -np.inf
    sums = part[:, :1] + part[None, :, 1]  # [C, C] start, stop
    able = np.triu(np.ones(sums.shape, bool)) & ~np.triu(np.ones(sums.shape, bool), longest)
    sums = np.where(able, sums, -np.inf)
    start, stop = divmod(int(sums.argmax()), len(part))
    return window.text(window.first + start, window.first + stop), float(sums[start, stop])


class Questions(Kind):
    """SQuAD's questions, 1.1 and 2.0."""

    learns = Answer
    hears = frozenset({"stride"})
    gives = ("answers",)
    metric = "answer_f1"
    context = 384

    def read(self, path: Path, columns: Columns, *, labelled: bool) -> list[Any]:
        return read_squad(path, labelled=labelled)

    def objective(self, examples: Sequence[Any], labels: tuple[str, ...], how: How) -> Answer:
        return Answer(layers=how.layers, impossible=any(question.impossible for question in examples))

    def encode(
        self, examples: Sequence[Any], description: Description, tokenizer: Tokenizer, say: Say, *, labelled: bool
    ) -> Asked:
        reading, objective = description.reading, description.objective
        assert isinstance(objective, Answer)
        context, longest = reading.context, min(QUESTION, reading.context // 3)
        found = encode_questions(examples, tokenizer, context=context, stride=reading.stride, longest=longest, say=say)
        return Asked(examples, found.windows, objective, tokenizer)
