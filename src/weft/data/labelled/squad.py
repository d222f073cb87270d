"""Questions about a text, answered by a part of it: SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018), also .gz."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from weft.data.labelled.where import Where
from weft.data.reading import read_text
from weft.files import DamagedFile


class Answer(NamedTuple):
    """A part of a context: context[start : start + len(text)] == text."""

    text: str
    start: int  # in characters


@dataclass(frozen=True)
class Question:
    """A question, the context that it is about, and the answers that people gave; none where it has no answer there."""

    where: Where
    id: str
    title: str
    question: str
    context: str
    answers: tuple[Answer, ...]

    @property
    def impossible(self) -> bool:
        """Whether the context has no answer to it."""
        return not self.answers


def read_squad(path: Path | str, *, labelled: bool = True) -> list[Question]:
    """The questions of a SQuAD file, version 1.1 (each has an answer) or 2.0, in their order. labelled=False: nobody
    knows the answers; none are read, whatever stands there.

    DamagedFile naming file and question: an answer that is not in its context at its place (with the nearest place
    where it is), an id given twice, an empty context or answer, answers to a question that is said to have none and the
    reverse, and what is not of this form. ValueError where there are no questions.
    """
    path = Path(path)
    try:
        data = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DamagedFile(f"{path}, line {error.lineno}: not JSON, at character {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise DamagedFile(f"{path}: not JSON that can be read: {error}") from error
    found, seen = list[Question](), set[str]()
    for question in _questions(data, path, labelled):
        if question.id in seen:
            raise DamagedFile(f"{question.where}: another question has this id: give each its own, answers go by it")
        seen.add(question.id)
        found.append(question)
    if not found:
        raise ValueError(f"{path} has no questions")
    return found


def _questions(data: Any, path: Path, labelled: bool) -> Iterator[Question]:
    for article, place in _list(data, "data", str(path), ""):
        title = article.get("title", "")
        for paragraph, within in _list(article, "paragraphs", str(path), place):
            context = _field(paragraph, "context", str, str(path), within)
            if not context.strip():
                raise DamagedFile(f"{path}, {within}: the context is empty: nothing can be answered from it")
            for told, at in _list(paragraph, "qas", str(path), within):
                number = _field(told, "id", str, str(path), at)
                where = Where(str(path), f"question {number!r}")
                question = _field(told, "question", str, *where)
                answers = _answers(told, context, where) if labelled else ()
                yield Question(where, number, str(title), question, context, answers)


def _answers(told: dict[str, Any], context: str, where: Where) -> tuple[Answer, ...]:
    impossible = told.get("is_impossible", False)
    if not isinstance(impossible, bool):
        raise DamagedFile(f"{where}: is_impossible is {impossible!r}, not true or false")
    found = []
    for answer, place in _list(told, "answers", str(where), ""):
        text = _field(answer, "text", str, str(where), place)
        start = _field(answer, "answer_start", int, str(where), place)
        _check(text, start, context, where)
        found.append(Answer(text, start))
    if impossible and found:
        raise DamagedFile(f"{where}: is_impossible is true, and there are {len(found)} answers: say one or the other")
    if not impossible and not found:
        raise DamagedFile(f"{where}: there is no answer, and is_impossible is not true: say so, or give an answer")
    return tuple(found)


def _check(text: str, start: int, context: str, where: Where) -> None:
    """DamagedFile where an answer is empty, or not in its context at its place."""
    if not text.strip():
        raise DamagedFile(f"{where}: an answer is empty ({text!r}): take it out")
    there = context[start : start + len(text)] if start >= 0 else ""
    if there == text:
        return
    near = _nearest(text, context, start)
    way = "which is nowhere in the context: mend the text" if near is None else f"the nearest place of it is {near}"
    raise DamagedFile(
        f"{where}: at answer_start={start}, in characters, the context has {there[:80]!r}, and the answer is "
        f"{text[:80]!r}; {way}"
    )


def _nearest(text: str, context: str, start: int) -> int | None:
    """The place nearest to `start` where the context has the text."""
    places, place = list[int](), context.find(text)
    while place != -1:
        places.append(place)
        place = context.find(text, place + 1)
    return min(places, key=lambda place: abs(place - start), default=None)


def _list(parent: Any, key: str, where: str, place: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The objects of a list, each with the place where it stands: "data[0].paragraphs[2]"."""
    found = parent.get(key) if isinstance(parent, dict) else None
    name = f"{place}.{key}" if place else key
    if not isinstance(found, list):
        raise DamagedFile(
            f"{where}: {name} is {_shown(found)}, not a list: is it SQuAD, with data, paragraphs and qas?"
        )
    for number, entry in enumerate(found):
        if not isinstance(entry, dict):
            raise DamagedFile(f"{where}: {name}[{number}] is {_shown(entry)}, not an object")
        yield entry, f"{name}[{number}]"


def _field(parent: dict[str, Any], key: str, kind: type, where: str, place: str) -> Any:
    found = parent.get(key)
    if type(found) is not kind:
        raise DamagedFile(
            f"{where}, {place}: {key} is {_shown(found)}, not a {'text' if kind is str else 'whole number'}"
        )
    return found


def _shown(value: Any) -> str:
    return "missing" if value is None else json.dumps(value, ensure_ascii=False)[:40]
