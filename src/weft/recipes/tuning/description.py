"""What a model is tuned for: columns, rows, classes, metric and objective, in one value."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from weft.named import named_to_data
from weft.objectives.tasks import Task
from weft.settings import to_data


@dataclass(frozen=True)
class Columns:
    """Where a file has what: names of columns, or numbers from 1 where it has no header; None: as is usual.

    text, pair: a text, and the second one of a pair. label: the class, the number, the right choice, the tag. choices:
    the texts to choose among; first: the number of the first of them, 0 where nobody says. Of tagged words, text and
    label are columns of CoNLL's, or label one of CoNLL-U's.
    """

    text: str | None = None
    pair: str | None = None
    label: str | None = None
    choices: tuple[str, ...] = ()
    header: bool | None = None
    first: int | None = None

    @property
    def headed(self) -> bool:
        """Whether the first row names the columns, as it does where nobody says."""
        return self.header is not False

    @property
    def said(self) -> dict[str, Any]:
        """What somebody says of them, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in named.items() if value not in (None, ())}

    def over(self, usual: Columns) -> Columns:
        """These, and the usual ones in place of those that are not named. A column that is called by a name, not a
        number, says that there is a header."""
        called = (self.text, self.pair, self.label, *self.choices)
        named = any(column is not None and not column.isdigit() for column in called)
        return Columns(
            self.text or usual.text,
            self.pair or usual.pair,
            self.label or usual.label,
            self.choices or usual.choices,
            (named or usual.header) if self.header is None else self.header,
            usual.first if self.first is None else self.first,
        )


@dataclass(frozen=True)
class Reading:
    """How examples become rows. context: tokens of a row at the most; what is longer is cut, or divided.

    every_piece: of tags, each piece of a word is asked, not its first alone. stride: of questions, tokens between the
    beginnings of windows.
    """

    context: int = 128
    every_piece: bool = False
    stride: int = 128


@dataclass(frozen=True)
class Description:
    """A task, by its name, whole. labels: the classes' names in the order of the head's scores; none where they are
    numbers."""

    task: str
    objective: Task
    columns: Columns
    labels: tuple[str, ...]
    metric: str
    reading: Reading

    def to_data(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "task": self.task,
            "labels": list(self.labels),
            "metric": self.metric,
            "columns": to_data(self.columns),
            "reading": to_data(self.reading),
            "objective": named_to_data(self.objective, {self.task: type(self.objective)}),
        }
