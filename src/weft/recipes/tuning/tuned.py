"""A fine-tuned model as its folder holds it: task.json, and the head beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from weft.files import DamagedFile, read_json, read_tensors, write_json, write_tensors
from weft.hub import Model, load
from weft.named import named_from_data
from weft.objectives.tasks_head import WithHead, beside
from weft.recipes.tuning.description import Columns, Description, Reading
from weft.recipes.tuning.kinds import KINDS
from weft.settings import SettingError, from_data

TASK, HEAD = "task.json", "head.safetensors"


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
        task, objective = str(data["task"]), data["objective"]
        if objective.get("name") != task:
            raise SettingError(f"task is {task!r} and the objective {objective.get('name')!r}")
        return Description(
            task,
            named_from_data("task", objective, {task: KINDS.get(task).learns}),
            from_data(Columns, data["columns"]),
            tuple(map(str, data["labels"])),
            str(data["metric"]),
            from_data(Reading, data["reading"]),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedFile(f"{path}: {error}") from error


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
