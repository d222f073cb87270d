"""The classes of a task: collected from what is trained on, and the same for what is evaluated."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

from weft.data.labelled.where import Where
from weft.registry import nearest


class Classed(Protocol):
    """What has a class, and stands somewhere."""

    @property
    def where(self) -> Where: ...

    @property
    def label(self) -> str: ...


@dataclass(frozen=True)
class Labels:
    """The names of K classes; class k is `names[k]`."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise ValueError(f"the label {twice[0]!r} is given {self.names.count(twice[0])} times: give each once")
        if len(self.names) < 2:
            told = f"only {self.names[0]!r}" if self.names else "none"
            raise ValueError(f"a task has at least two labels, and there is {told}: is it the right column?")

    @classmethod
    def collect(cls, rows: Sequence[Classed]) -> Self:
        """The labels that `rows`, those to train on, have: sorted as numbers where all are whole numbers, else by code
        points."""
        try:
            return cls(ordered({row.label for row in rows}))
        except ValueError as error:
            raise ValueError(f"{rows[0].where.file}: {error}" if rows else str(error)) from error

    def number(self, label: str, where: Where) -> int:
        """Which class a label is. ValueError for one that is not known, naming where it stands and those that are."""
        found = self._numbers.get(label)
        if found is None:
            near = nearest(label, self.names)
            guess = f"did you mean {near!r}? " if near else ""
            raise ValueError(
                f"{where}: the label {label!r} is not among those that are trained on; {guess}known are "
                f"{', '.join(map(repr, self.names))}: mend it, or give all the labels when training"
            )
        return found

    def absent(self, rows: Iterable[Classed]) -> tuple[str, ...]:
        """The labels that none of `rows` has, in their order: what is never shown is never learned. ValueError for a
        row whose label is not known."""
        seen = {self.number(row.label, row.where) for row in rows}
        return tuple(name for number, name in enumerate(self.names) if number not in seen)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}


def ordered(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels in the order of their numbers, where all are whole numbers, else of their code points."""
    found = sorted(set(labels))
    whole = all(label.removeprefix("-").isdecimal() for label in found)
    return tuple(sorted(found, key=int) if whole else found)
