"""Several tasks at once: pictures, texts and both, each with a class, and where each task's samples come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from weft.data.labelled import read_columns
from weft.data.labelled.columns import Row
from weft.data.made import sentences
from weft.data.names import Side, side_of
from weft.data.records import RECORDS, NoColumn, record_kind
from weft.data.sides import by_name, check_both, held_out, way_out, without_tests
from weft.data.signals.emoji import held_back, is_emoji, read_emoji
from weft.data.signals.listing import files_below, tables_in
from weft.data.signals.made import SHAPES, made_pictures
from weft.data.signals.pictures import Patches
from weft.data.signals.prepare import ENDINGS
from weft.data.signals.questions import NEEDS, Asked, class_pictures, held_of, made, of_kinds, of_path
from weft.data.signals.task_samples import Samples, TaskSettings, called, labelled
from weft.data.sources import Say, quiet
from weft.models.unified import Task
from weft.registry import Registry

TEXT, SENTENCE, LABEL = "text", "sentence", "label"


TASK_SOURCES: Registry[Callable[[TaskSettings, Mapping[str, Task], Patches, Say], list[Samples]]] = Registry(
    "source of tasks", "weft.task_sources", ()
)


def read_tasks(
    settings: TaskSettings, known: Mapping[str, Task], processor: Patches, say: Say = quiet
) -> list[Samples]:
    """The samples of each task that is trained. known: what the model has said of tasks, by name. ValueError for a name
    that no path has, and for a task of which nothing is trained on or nothing held out."""
    settings.check()
    found = TASK_SOURCES.get(settings.source)(settings, known, processor, say)
    there = [samples.name for samples in found]
    for name in settings.tasks:
        if name not in there:
            raise ValueError(f"no data are of the task {name!r}; there are {', '.join(there)} (--data {name}=PATH)")
    if unread := [name for name in settings.shares() if name not in there]:
        say(f"data.weights says how often {', '.join(unread)} is read, and no data are of it: {', '.join(there)}")
    found = [samples for samples in found if not settings.tasks or samples.name in settings.tasks]
    for samples in found:
        check_both(samples.held, f"samples of the task {samples.name!r}", way_out(None, settings.held_out))
    return found


def tasks(settings: TaskSettings, known: Mapping[str, Task], processor: Patches, say: Say) -> list[Samples]:
    """Each NAME=PATH in turn."""
    if not settings.paths:
        raise ValueError("tasks are named with their data: --data clothes=fashion_mnist/ --data mood=sst2/, say")
    found = list[Samples]()
    for path in settings.paths:
        name, file = task_and_path(path)
        if not name:
            raise ValueError(f"{path} names no task: write NAME=PATH, mood={path} say")
        if any(samples.name == name for samples in found):
            raise ValueError(f"the task {name!r} is given twice: give each its own name, or one folder")
        if settings.tasks and name not in settings.tasks:
            continue
        found.append(samples_of(name, Path(file), known.get(name), settings, processor, say))
    if not found:
        raise ValueError(
            f"none of {', '.join(settings.paths)} is of a task in data.tasks={','.join(settings.tasks)}: name one"
        )
    return found


def task_and_path(text: str) -> tuple[str, str]:
    """NAME=PATH -> both; a path alone has the name ""."""
    name, equals, path = text.partition("=")
    return (name, path) if equals and name.isidentifier() else ("", text)


def samples_of(
    name: str, path: Path, task: Task | None, settings: TaskSettings, processor: Patches, say: Say = quiet
) -> Samples:
    """The samples of a task: pictures with classes (a folder of idx files, or of a folder a class), or captioned ones,
    of which the group is told; texts (a file .tsv, .csv or .jsonl, or a folder of train.… and dev.…, with the columns
    text or sentence, and label; or without a header the text and then the label); or questions about pictures, as
    `of_path` reads them, each answer a class. What the task reads decides; without a task, what is there."""
    reads = guessed(path) if task is None else task.reads
    if reads == "text":
        found = of_texts(name, path, settings, say)
    elif reads == "both":
        kinds = settings.kinds if path.is_dir() else ()  # of a file, whatever it asks
        asked = of_kinds(of_path(path, settings.questions, processor, say), kinds)
        found = of_questions(name, asked, settings)
    elif is_emoji(path):
        emoji = read_emoji(path, processor)
        held = held_back(emoji.captions, settings.held_out, settings.seed)
        groups = tuple(group.lower() for group in emoji.groups)
        found = labelled(name, emoji.files, groups, held, pixels=emoji.pixels)
    else:
        classes = class_pictures(path, processor, say)
        words = tuple(classes.classes[label] for label in classes.labels)
        held = classes.held(settings.held_out, settings.seed)
        found = labelled(name, classes.names, words, held, pixels=classes.signals)
    return found if task is None else called(found, task.names)


def guessed(path: Path) -> str:
    """What the samples at a path are: of a folder pictures, where there are any; of a file questions about pictures,
    where it has the columns, else texts."""
    if path.is_dir():
        seen = bool(files_below(path, ENDINGS)) or any(path.glob("*-idx3-*"))
        return "image" if seen or is_emoji(path) else "text"
    try:
        next(iter(read_columns(path, NEEDS)))
    except NoColumn:
        return "text"
    return "both"


def of_texts(name: str, path: Path, settings: TaskSettings, say: Say = quiet) -> Samples:
    """Texts with a class each. ValueError and DamagedFile name file and line."""
    files = [path]
    if path.is_dir():
        files = [file for file in tables_in(path, RECORDS) if side_of(file.name) is not None]
        if not files:
            raise ValueError(f"{path} holds no texts of a task: files train.tsv and dev.tsv (.csv, .jsonl, also .gz)")
        names = [file.name for file in files]
        used, notices = without_tests(names, list(map(side_of, names)), "files of texts")
        files = [files[at] for at in np.flatnonzero(used)]
        for text in notices:
            say(text)
    texts, words, sides = list[str](), list[str | None](), list[Side | None]()
    for file in files:
        side = side_of(file.name)
        for row in text_rows(file):
            text, label = row.values[0], row.values[1] if len(row.values) > 1 else None
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"{row.where}: there is no text: mend the line, or leave it out")
            texts.append(text)
            words.append(None if label is None else str(label))
            sides.append(None if side == Side.LEFT_OUT else side)  # one that a person names is what is meant
    held = held_out(texts, sides, settings.held_out, settings.seed)
    return labelled(name, tuple(map(str, range(len(texts)))), words, held, texts=tuple(texts))


def text_rows(path: Path) -> list[Row]:
    """The text and, where there is one, the label of each row."""
    for columns in ((TEXT, LABEL), (SENTENCE, LABEL), (TEXT,), (SENTENCE,)):
        try:
            return list(read_columns(path, columns))
        except NoColumn as error:
            last = error
    if record_kind(path) not in (".tsv", ".csv"):
        raise last
    try:
        rows = list(read_columns(path, ("1", "2"), header=False))
    except NoColumn:
        return list(read_columns(path, ("1",), header=False))
    labels = [row.values[1] for row in rows]
    if len(set(labels[1:])) < len(labels) - 1 and labels[0] not in labels[1:]:
        raise ValueError(
            f"{path}: the first line, {rows[0].values[0]!r} and {labels[0]!r}, looks like a header of other columns, "
            "for no other line has such a label: call them text and label, or take the line out"
        )
    return rows


def of_questions(name: str, asked: Asked, settings: TaskSettings) -> Samples:
    """Questions about pictures, of which each answer is a class."""
    held = held_of(asked, settings.held_out, settings.seed)
    picture = np.array([question.picture for question in asked.questions])
    return labelled(
        name,
        [asked.names[number] for number in picture],
        [question.answer for question in asked.questions],
        held,
        texts=tuple(question.text for question in asked.questions),
        pixels=asked.pixels,
        picture=picture,
    )


def made_tasks(settings: TaskSettings, known: Mapping[str, Task], processor: Patches, say: Say) -> list[Samples]:
    """A task of each kind, made on the spot: which shape, what is answered, whether a sentence has the moon in it."""
    pixels, labels = made_pictures(120, processor.image, processor.channels, settings.seed)
    names = tuple(map(str, range(len(labels))))
    held = by_name(names, 0.2, settings.seed)
    shape = labelled("shape", names, [SHAPES[label] for label in labels], held, pixels=pixels)
    answer = of_questions("answer", made(settings.questions, processor, say), settings)
    texts = tuple(sentences(200, settings.seed))
    words = ["moon" if "moon" in text or "child" in text else "other" for text in texts]
    names = tuple(map(str, range(len(texts))))
    moon = labelled("moon", names, words, by_name(names, 0.2, settings.seed), texts=texts)
    return [shape, answer, moon]


TASK_SOURCES.register("tasks", tasks)
TASK_SOURCES.register("made_tasks", made_tasks)
