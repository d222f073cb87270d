"""Questions about pictures, and where they come from: files of them, captioned pictures, pictures with classes."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from weft.data.labelled import read_columns
from weft.data.labelled.columns import Row
from weft.data.names import Side, side_of
from weft.data.progress import counted
from weft.data.records import NoColumn
from weft.data.sides import by_name, check_both, way_out, without_tests
from weft.data.signals.emoji import Emoji, as_read, held_back, is_emoji, read_emoji
from weft.data.signals.made import SHAPES, made_pictures
from weft.data.signals.pictures import Patches, opened
from weft.data.signals.prepare import Found, pictures
from weft.data.signals.settings import Augment, SignalSettings
from weft.data.sources import Say, quiet
from weft.registry import Registry

NEEDS = ("image", "question")
WHAT, GROUP, SUBGROUP, YES_NO = "what", "group", "subgroup", "yes/no"


@dataclass(frozen=True)
class QuestionSettings:
    """What is read. source: a registered one. paths: see `questions`; a file's name says whether it is held out."""

    source: str = "questions"
    paths: tuple[str, ...] = ()
    held_out: float = 0.1  # share of the pictures, by their caption or name, where no file's name says it
    seed: int = 0  # of the split, and of the questions that are made
    kinds: tuple[str, ...] = ()  # the kinds of question that are asked; none: all
    words: tuple[str, ...] = ()  # what the classes of idx files are called, by number
    asked: str = "what is this?"  # of pictures with classes
    tokenizer: str = "bpe"  # a kind, one of which is trained on the questions and answers, or a folder of one
    vocab: int = 1000  # the most ids it may have
    blind: bool = False  # every picture is shown as a plain grey one: what the questions alone tell
    augment: Augment = field(default_factory=Augment)

    def check(self) -> None:
        """ValueError, naming the setting, for what can be none."""
        if not 0 < self.held_out < 1:
            raise ValueError(
                f"data.held_out={self.held_out}, but a share of the pictures is held out: above 0, below 1"
            )
        self.augment.check()


@dataclass(frozen=True)
class Question:
    """picture: its number among the pictures; answer: None where nobody said it; kind: what sort of question it is."""

    picture: int
    text: str
    answer: str | None
    kind: str


@dataclass(frozen=True)
class Asked:
    """Pictures uint8 [N, image, image, channels], what each is called, and questions about them. held: which questions
    are held out, bool [Q]; None: nobody said."""

    pixels: np.ndarray
    names: tuple[str, ...]
    questions: tuple[Question, ...]
    held: np.ndarray | None = None

    def called(self) -> list[str]:
        """What tells each question from the others: its picture and its text."""
        return [f"{self.names[question.picture]}: {question.text}" for question in self.questions]


QUESTION_SOURCES: Registry[Callable[[QuestionSettings, Patches, Say], Asked]] = Registry(
    "source of questions", "weft.question_sources", ()
)


def read_questions(settings: QuestionSettings, processor: Patches, say: Say = quiet) -> Asked:
    """All questions of some settings, each known to be held out or not. ValueError where there are none to train on or
    none held out, and for a kind that no question is of."""
    found = QUESTION_SOURCES.get(settings.source)(settings, processor, say)
    found = of_kinds(found, settings.kinds)
    held = held_of(found, settings.held_out, settings.seed)
    check_both(held, "questions", way_out(None, settings.held_out))
    if unanswered := sum(question.answer is None for question in found.questions):
        raise ValueError(f"{unanswered:,} of {len(held):,} questions have no answer, and all that is learned from has")
    return replace(found, held=held)


def held_of(found: Asked, share: float, seed: int) -> np.ndarray:
    """Which questions are held out, bool [Q]: as somebody said, else by their pictures' names."""
    picture = [question.picture for question in found.questions]
    return by_name(found.names, share, seed)[picture] if found.held is None else found.held


def of_kinds(asked: Asked, kinds: Sequence[str]) -> Asked:
    """Those of some kinds; none named: all. ValueError for a kind that no question is of."""
    there = dict.fromkeys(question.kind for question in asked.questions)
    if unknown := [kind for kind in kinds if kind not in there]:
        raise ValueError(f"data.kinds: no question is of the kind {unknown[0]!r}; there are {', '.join(there)}")
    keep = [number for number, question in enumerate(asked.questions) if not kinds or question.kind in kinds]
    held = None if asked.held is None else asked.held[keep]
    return replace(asked, questions=tuple(asked.questions[number] for number in keep), held=held)


def questions(settings: QuestionSettings, processor: Patches, say: Say) -> Asked:
    """Of each path in turn: a file of questions (.jsonl, .tsv, .csv with image, question, answer and, if they like,
    kind; an image is a file, found from where the questions lie); a folder of captioned pictures (`Emoji`), of which
    questions are made; a folder of pictures with classes (`pictures`)."""
    if not settings.paths:
        raise ValueError(
            "questions come from a file of them, or a folder of pictures: name some (--data questions.jsonl)"
        )
    paths = [Path(path) for path in settings.paths]
    used, notices = without_tests([path.name for path in paths], list(map(side_of_path, paths)), "files of questions")
    for text in notices:
        say(text)
    return joined([of_path(paths[at], settings, processor, say) for at in np.flatnonzero(used)])


def side_of_path(path: Path) -> Side | None:
    """What a file's name says; of a folder its source knows it."""
    return None if path.is_dir() else side_of(path.name)


def of_path(path: Path, settings: QuestionSettings, processor: Patches, say: Say = quiet) -> Asked:
    """The questions of one path."""
    if path.is_dir():
        if is_emoji(path):
            return of_emoji(read_emoji(path, processor), settings)
        return of_classes(class_pictures(path, processor, say), settings)
    return of_file(path, processor, say)


def joined(parts: Sequence[Asked]) -> Asked:
    """Several as one. What nobody held out of some is trained on, where of others it is known."""
    first = np.cumsum([0, *(len(part.names) for part in parts)])
    known = any(part.held is not None for part in parts)
    held = [np.zeros(len(part.questions), bool) if part.held is None else part.held for part in parts]
    moved = (
        replace(question, picture=question.picture + int(start))
        for part, start in zip(parts, first, strict=False)
        for question in part.questions
    )
    return Asked(
        np.concatenate([part.pixels for part in parts]),
        tuple(name for part in parts for name in part.names),
        tuple(moved),
        np.concatenate(held) if known else None,
    )


def of_file(path: Path, processor: Patches, say: Say = quiet) -> Asked:
    """The questions in a file. ValueError and DamagedFile name file and line."""
    more, rows = _rows(path)
    places, made, asked = dict[str, int](), list[np.ndarray](), list[Question]()
    advance = counted(say, "read", len(rows))
    for row in rows:
        image, text, *rest = row.values
        extra = dict(zip(more, rest, strict=True))
        if not isinstance(image, str) or not isinstance(text, str) or not text.strip():
            raise ValueError(f"{row.where}: an image is the name of a file, and a question a text: mend the line")
        image = os.path.normpath(image)  # one picture, however its name is spelt
        if image not in places:
            try:
                made.append(processor.fitted(opened(path.parent / image, processor.channels)))
            except ValueError as error:
                raise ValueError(f"{row.where}: {error}") from error
            places[image] = len(places)
        answer, kind = extra.get("answer"), extra.get("kind") or "question"
        asked.append(Question(places[image], text, None if answer in (None, "") else str(answer), str(kind)))
        advance(1)
    side = side_of(path.name)
    held = np.full(len(asked), side == Side.HELD_OUT) if side in (Side.TRAIN, Side.HELD_OUT) else None
    return Asked(np.stack(made), tuple(places), tuple(asked), held)


def _rows(path: Path) -> tuple[tuple[str, ...], list[Row]]:
    """The columns that a file has beside those that it needs, and its rows."""
    for more in (("answer", "kind"), ("answer",), ("kind",)):
        try:
            return more, list(read_columns(path, (*NEEDS, *more)))
        except NoColumn as error:
            if error.column in NEEDS:
                raise
    return (), list(read_columns(path, NEEDS))


def of_emoji(emoji: Emoji, settings: QuestionSettings) -> Asked:
    """Of each picture: what it is, which group and subgroup it is of, and twice whether it is of its own subgroup, and
    whether it is of another picture's, so that as often yes is right as no. Held out as `held_back` says."""
    asked = list[Question]()
    for number, caption in enumerate(emoji.captions):
        draw = random.Random(f"{settings.seed}/{caption}/{number}")
        own, group = emoji.subgroups[number].replace("-", " "), emoji.groups[number].lower()
        asked += [
            Question(number, "what is this?", caption, WHAT),
            Question(number, "which group?", group, GROUP),
            Question(number, "which subgroup?", own, SUBGROUP),
        ]
        others = draw.sample(emoji.subgroups, min(50, len(emoji.subgroups)))
        others = [one.replace("-", " ") for one in others if one.replace("-", " ") != own][:2]
        for other in others:
            asked += [
                Question(number, f"is this a {own}?", "yes", YES_NO),
                Question(number, f"is this a {other}?", "no", YES_NO),
            ]
    pictures = held_back(emoji.captions, settings.held_out, settings.seed)
    held = pictures[[question.picture for question in asked]]
    return Asked(emoji.pixels, emoji.files, tuple(asked), held)


def of_classes(found: Found, settings: QuestionSettings) -> Asked:
    """Of each picture, which class it is of, in words."""
    words = settings.words or found.classes
    if len(words) != len(found.classes):
        raise ValueError(f"data.words has {len(words)} words, and the pictures {len(found.classes)} classes: one each")
    asked = tuple(
        Question(number, settings.asked, words[label], WHAT) for number, label in enumerate(found.labels.tolist())
    )
    return Asked(found.signals, found.names, asked, found.held_out)


def class_pictures(path: Path, processor: Patches, say: Say = quiet) -> Found:
    """Pictures with classes in a folder (see `pictures`), grey ones as many channels as are read."""
    grey = any(path.glob("*-images-idx3-ubyte*"))
    as_they_are = Patches(processor.image, processor.patch, 1 if grey else processor.channels)
    found = pictures(SignalSettings(paths=(str(path),)), as_they_are, say)
    for text in found.notices:
        say(text)
    same = found.signals.shape[-1] == processor.channels
    return found if same else replace(found, signals=as_read(found.signals, processor))


def made(settings: QuestionSettings, processor: Patches, say: Say) -> Asked:
    """Questions about pictures made on the spot, of five shapes: what it is, and whether it is this or that."""
    signals, labels = made_pictures(120, processor.image, processor.channels, settings.seed)
    asked = list[Question]()
    for number, label in enumerate(labels.tolist()):
        other = (label + 1 + number // len(SHAPES) % (len(SHAPES) - 1)) % len(SHAPES)
        asked += [
            Question(number, "what is this?", SHAPES[label], WHAT),
            Question(number, f"is this a {SHAPES[label]}?", "yes", YES_NO),
            Question(number, f"is this a {SHAPES[other]}?", "no", YES_NO),
        ]
    return Asked(signals, tuple(map(str, range(len(labels)))), tuple(asked))


QUESTION_SOURCES.register("questions", questions)
QUESTION_SOURCES.register("made_questions", made)
