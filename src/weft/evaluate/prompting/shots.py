"""Prompts of rows: examples drawn by a seed, labels replaced at random, the question last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from weft.data.labelled import TextRow, Where, read_texts
from weft.data.order import mix, place
from weft.data.records import NoColumn
from weft.evaluate.prompting.task import PromptTask
from weft.registry import nearest

_REPLACED, _LABEL, _ROUNDED = 1, 2, 3  # what a seed is drawn for, beside the examples themselves


class Draw(NamedTuple):
    """Which examples stand before a question, by a seed. random_labels: the share of them whose label is replaced by
    one drawn from the choices, each as likely as any other, the right one too (Min et al. 2022)."""

    seed: int = 0
    random_labels: float = 0.0


@dataclass(frozen=True)
class Question:
    """A row as it is asked.

    prompt: all that the model is given. answers: what is scored after it, of each choice. choices: their texts alone.
    right: the number of the right choice, or the right text. examples: where those in the prompt stand.
    """

    where: Where
    prompt: str
    answers: tuple[str, ...]
    choices: tuple[str, ...]
    right: int | str
    examples: tuple[Where, ...]


@dataclass(frozen=True)
class Prompts:
    """The rows of a task, and those its examples are drawn from (`pool`); None: from the rows, never the asked one.

    A seed puts all of the pool into an order, and the first of them stand before every question, in that order; where
    one of them is asked itself, the next takes its place.
    """

    task: PromptTask
    rows: Sequence[TextRow]
    pool: Sequence[TextRow] | None = None

    @classmethod
    def read(cls, task: PromptTask, data: Path | str, examples: Path | str | None = None) -> Self:
        """The rows of a file, and of another one for examples. ValueError naming file and line: a value that is
        missing, an answer that is no label, fewer rows than examples; naming what of the task asks for it: a column
        that is not there."""
        rows = _read(task, data)
        pool = None if examples is None else _read(task, examples)
        made = cls(task, rows, pool)
        for row in (*rows, *(pool or ())):
            made.right(row)
        there, asked = made.drawn, "" if pool is not None else " beside the one that is asked"
        if len(there) - (pool is None) < task.shots:
            file = there[0].where.file
            raise ValueError(
                f"{file}: {task.shots} examples are to stand before each question, and there are "
                f"{len(there) - (pool is None)} rows{asked}: ask for fewer shots, or name a file of examples"
            )
        return made

    @property
    def drawn(self) -> Sequence[TextRow]:
        """What examples are drawn from."""
        return self.rows if self.pool is None else self.pool

    def right(self, row: TextRow) -> int | str:
        """The number of a row's right choice; without choices, the right text. ValueError for no label."""
        said, known = row.texts[self.task.answer], self.task.known
        if not known:
            return said
        if said.strip() not in known:
            near = nearest(said.strip(), known)
            guess = f"did you mean {near!r}? " if near else ""
            raise ValueError(
                f"{row.where}: the answer {said.strip()!r} is not among the task's labels; {guess}those are "
                f"{', '.join(map(repr, known))}: mend it, or say in the task what the column says (labels)"
            )
        return known.index(said.strip())

    def choices(self, row: TextRow) -> tuple[str, ...]:
        """The texts of a row's choices. ValueError naming file and line where two are the same."""
        found = tuple(pattern.fill(row.texts) for pattern in self.task.patterns[1])
        if len(set(found)) < len(found):
            twice = next(text for text in found if found.count(text) > 1)
            raise ValueError(f"{row.where}: two choices are {twice!r}: mend one, or take the row out")
        return found

    def question(self, number: int, draw: Draw) -> Question:
        """The row of this number. ValueError for labels that cannot be replaced."""
        row, task, drawn = self.rows[number], self.task, self.drawn
        replaced = self._replaced(draw)
        order = (place(turn, len(drawn), draw.seed).sample for turn in range(min(task.shots + 1, len(drawn))))
        chosen = [drawn[one] for one in order if self.pool is not None or one != number][: task.shots]
        parts = [task.instruction] if task.instruction else []
        for slot, example in enumerate(chosen):
            parts.append(self._asked(example) + task.before_answer + self._answered(example, replaced.get(slot)))
        choices = self.choices(row)
        return Question(
            row.where,
            task.separator.join([*parts, self._asked(row)]),
            tuple(task.before_answer + choice for choice in choices),
            choices,
            self.right(row),
            tuple(example.where for example in chosen),
        )

    def _asked(self, row: TextRow) -> str:
        return self.task.patterns[0].fill(row.texts)

    def _answered(self, row: TextRow, label: int | None) -> str:
        """An example's answer; label: the choice that stands in place of the right one."""
        right = self.right(row) if label is None else label
        return right if isinstance(right, str) else self.choices(row)[right]

    def _replaced(self, draw: Draw) -> dict[int, int]:
        """Which examples, by their place, have which choice in place of the right one. A larger share has those of a
        smaller one, with the same labels, so that shares of one seed differ in nothing else. Where a share is no whole
        number of examples, the seed says whether it is one more, so that over seeds it is the share."""
        shots, choices, (seed, share) = self.task.shots, len(self.task.choices), draw
        if not 0 <= share <= 1:
            raise ValueError(f"random labels: {share} is a share of the examples, from 0 to 1")
        if share and not (shots and choices):
            what = "no examples (shots = 0)" if choices else "no choices"
            raise ValueError(f"random labels: {share} of them, and the task has {what}: leave them out")
        count = math.floor(share * shots + mix(seed, _ROUNDED) / 2**64)
        slots = [place(turn, shots, mix(seed, _REPLACED)).sample for turn in range(min(count, shots))]
        return {slot: mix(seed, _LABEL, slot) % choices for slot in slots}


def _read(task: PromptTask, path: Path | str) -> list[TextRow]:
    try:
        return read_texts(path, task.columns, header=task.header)
    except NoColumn as error:
        raise ValueError(
            f"the task's {task.reader(error.column)} names the column {error.column!r}, which {error.where} does not "
            f"have; it has: {', '.join(map(repr, error.there))}: name one of those in the task, or give another file"
        ) from error
