"""What a fine-tuned model was tuned for, as its folder says it: task.json, and the head beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from weft.files import DamagedFile, read_json, read_tensors, write_json, write_tensors
from weft.hub import Model, load
from weft.named import named_from_data, named_to_data
from weft.objectives.tasks import TASKS, Task
from weft.objectives.tasks_head import WithHead, beside
from weft.settings import SettingError, from_data, to_data

TASK, HEAD = "task.json", "head.safetensors"


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
        """These, and the usual ones in place of those that are not named."""
        return Columns(
            self.text or usual.text,
            self.pair or usual.pair,
            self.label or usual.label,
            self.choices or usual.choices,
            usual.header if self.header is None else self.header,
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
    """A task, whole. labels: the classes' names in the order of the head's scores; none where they are numbers."""

    objective: Task
    columns: Columns
    labels: tuple[str, ...]
    metric: str
    reading: Reading

    @property
    def task(self) -> str:
        """Its name."""
        return self.objective.title

    def to_data(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "task": self.task,
            "labels": list(self.labels),
            "metric": self.metric,
            "columns": to_data(self.columns),
            "reading": to_data(self.reading),
            "objective": named_to_data(self.objective, TASKS.all()),
        }


def write_task(folder: Path, description: Description, head: Mapping[str, Tensor]) -> None:
    """Write the head and, last, what it is for."""
    write_tensors(folder / HEAD, {name: tensor.detach().cpu() for name, tensor in head.items()})
    write_json(folder / TASK, description.to_data())


def read_description(folder: Path) -> Description:
    """What `write_task` wrote. ValueError where a folder has no task; DamagedFile for one that is not understood."""
    path = folder / TASK
    if not path.is_file():
        raise ValueError(f"{path} is missing: {folder} is no fine-tuned model; `weft tune … --out` writes one")
    data = read_json(path)
    try:
        if not isinstance(data, dict) or data.keys() != {"task", "labels", "metric", "columns", "reading", "objective"}:
            raise SettingError("a task has task, labels, metric, columns, reading and objective")
        found = Description(
            named_from_data("task", data["objective"], TASKS.all()),
            from_data(Columns, data["columns"]),
            tuple(map(str, data["labels"])),
            str(data["metric"]),
            from_data(Reading, data["reading"]),
        )
        if found.task != data["task"]:
            raise SettingError(f"task is {data['task']!r} and the objective {found.task!r}")
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedFile(f"{path}: {error}") from error
    return found


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned model, loaded. module: the model with its head, in evaluation mode."""

    model: Model
    module: WithHead
    description: Description


def read_tuned(folder: Path) -> Tuned:
    """The fine-tuned model in a folder. Strict: an error names a tensor of the head that is missing, of another shape,
    or too many; `weft.load` is as strict about the model."""
    description, model = read_description(folder), load(folder)
    description.objective.check(model.module)
    module = description.objective.wrap(model.module, model.blueprint, 0, lambda name: load(name).module)
    assert isinstance(module, WithHead)
    path = folder / HEAD
    if not path.is_file():
        raise DamagedFile(f"{path} is missing: {folder} has a {TASK}, and a fine-tuned model's head beside it")
    given, own = read_tensors(path), beside(module.state_dict())
    for name in sorted(given.keys() | own.keys()):
        if name not in given:
            raise DamagedFile(f"{path} lacks the tensor {name!r}, {list(own[name].shape)}: restore the file")
        if name not in own:
            raise DamagedFile(f"{path} has a tensor {name!r}, which no head of the task {description.task} has")
        if given[name].shape != own[name].shape:
            raise DamagedFile(
                f"{path}: the tensor {name!r} has the shape {list(given[name].shape)}, and by {TASK} it is "
                f"{list(own[name].shape)}"
            )
    module.load_state_dict(given, strict=False)  # of the head; the model's are loaded
    return Tuned(model, module.eval(), description)
