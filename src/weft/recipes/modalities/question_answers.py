"""What a decoder that is given pictures answers, and how often it is right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import nn

from weft.batch import Place
from weft.data.progress import counted
from weft.data.signals.question_rows import QuestionRows
from weft.data.signals.questions import Question
from weft.data.sources import Say, quiet
from weft.evaluate import METRICS, Bootstrap, Interval, Score
from weft.generate import GREEDY, generate
from weft.recipes.predicted import Part, Predicted

ROWS, METRIC = 128, "exact_match"
LONGEST = 32  # tokens of an answer, where nobody knows how long they are


def answers(module: nn.Module, rows: QuestionRows, *, longest: int = LONGEST, say: Say = quiet) -> list[str]:
    """The likeliest answer to each question, token by token, up to the END or `longest` tokens."""
    form, found, advance = rows.form, list[str](), counted(say, "answered", len(rows))
    device = next(module.parameters()).device
    for start in range(0, len(rows), ROWS):
        numbers = range(start, min(start + ROWS, len(rows)))
        made = generate(
            module,
            rows.prompts(numbers),
            new=longest,
            sampling=GREEDY,
            stop=(form.tokenizer.end,),
            context=form.context,
            source=rows.source([Place(0, number) for number in numbers]).to(device),
        )
        known = ([number for number in row.ids if number < form.tokenizer.vocab] for row in made)
        found += [form.tokenizer.decode(ids).strip() for ids in known]
        advance(len(numbers))
    return found


def scored(questions: Sequence[Question], given: Sequence[str]) -> Predicted:
    """The share of answers that are right, of all and of each kind. Intervals are over pictures, not over questions:
    those about one picture are right or wrong together."""
    metric = METRICS.get(METRIC)
    right = np.array([metric.score([one], [[str(question.answer)]]).value
                      for question, one in zip(questions, given, strict=True)])  # fmt: skip
    kinds = np.array([question.kind for question in questions])
    pictures = np.array([question.picture for question in questions])

    def part(at: np.ndarray) -> Part:
        return Part(
            str(kinds[at][0]), len(right[at]), metric.said(float(right[at].mean())), over(pictures[at], right[at])
        )

    names = dict.fromkeys(kinds.tolist())
    whole = part(np.ones(len(right), bool))
    parts = tuple(part(kinds == name) for name in names) if len(names) > 1 else ()
    return Predicted(len(questions), whole.score, whole.interval, parts=parts)


def over(groups: np.ndarray, values: np.ndarray) -> Interval | None:
    """The interval of the mean of values [N] over groups of them, int64 [N]; None for a single group."""
    _, at = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(at, weights=values), np.bincount(at)
    if len(sums) < 2:
        return None
    return Bootstrap().corpus(lambda places: float(sums[places].sum() / sizes[places].sum()), len(sums))


def figures(found: Predicted) -> dict[str, Score]:
    """Its scores by name, for a report: that of all, and of each kind."""
    assert found.score is not None
    return {METRIC: found.score} | {f"{METRIC} {part.name}": part.score for part in found.parts}
