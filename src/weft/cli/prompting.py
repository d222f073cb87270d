"""`weft eval --task`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from rich.table import Table

from weft.cli.shared import between, interval, note, opened, printer, unheard
from weft.evaluate.prompting import PROMPTS, Prompted, PromptTask, find_task
from weft.files import write_bytes
from weft.hub import find, prompt
from weft.outputs import check_file
from weft.recipes import tuning
from weft.recipes.tuning.tuned import TASK, read_description

NumberT = TypeVar("NumberT", int, float)


@dataclass(frozen=True)
class Asked:
    """What is asked for, as it is written on the command line."""

    task: str
    shots: int | None
    seeds: str | None
    random_labels: str | None
    examples: Path | None
    cut: bool
    out: Path | None
    overwrite: bool

    @property
    def of_prompts(self) -> dict[str, object]:
        """What means nothing to a model that is not prompted, by its option."""
        return {
            "shots": self.shots,
            "seeds": self.seeds,
            "random-labels": self.random_labels,
            "examples": self.examples,
            "cut": self.cut,
        }


def command(name: str, data: tuple[str, ...], asked: Asked, *, as_json: bool) -> None:
    """A fine-tuned model does its own task, any other is prompted."""
    if len(data) != 1:
        raise ValueError(f"a task is evaluated on one file, and --data is given {len(data)} times")
    folder, file = find(name), Path(data[0])
    if asked.out is None:
        unheard("--out", {"overwrite": asked.overwrite})
    else:
        read = [file] if asked.examples is None else [file, asked.examples]
        check_file(asked.out, reads=read, overwrite=asked.overwrite)
    if (folder / TASK).is_file():
        _tuned(name, folder, file, asked, as_json=as_json)
        return
    seeds = numbers("--seeds", asked.seeds or "0", int)
    shares = numbers("--random-labels", asked.random_labels or "0", float)
    task = prompted_task(name, folder, asked.task)
    found = prompt(
        opened(folder),
        task,
        file,
        examples=asked.examples,
        shots=asked.shots,
        seeds=seeds,
        random_labels=shares,
        cut=asked.cut,
        say=note,
    )
    if asked.out is not None:
        _write(asked.out, (line for run in found.runs for line in run.lines))
    shots = task.shots if asked.shots is None else asked.shots
    if as_json:
        print(json.dumps({"model": name, "data": data[0], "shots": shots} | facts(asked.task, task, found)))
        return
    console = printer()
    lines = [f"{asked.task}: {task.stated}", f"{shots} shots, {len(found.runs[0].gold):,} rows of {file}"]
    console.print("\n".join([*lines, f"{found.metric.name}: {found.runs[0].score.signature}", ""]), soft_wrap=True)
    console.print(table(found))
    if asked.out is not None:
        console.print(f"predictions: {asked.out}", soft_wrap=True)


def prompted_task(name: str, folder: Path, task: str) -> PromptTask:
    """The task that a model in a folder is prompted for, which is tuned for none. ValueError where there is none."""
    if task in tuning.KINDS.names() and task not in PROMPTS.names():
        raise ValueError(
            f"{name} carries no tuned task (there is no {folder / TASK}): weft tune {name} --task {task} makes a model "
            "that does, in its --out; or prompt this one, --task being a prompt task's .toml or .json, or its name: "
            + ", ".join(PROMPTS.names())
        )
    return find_task(task)


def numbers(option: str, text: str, kind: Callable[[str], NumberT]) -> list[NumberT]:
    """ "0,1,2" as numbers. ValueError for what is none."""
    try:
        return [kind(part.strip()) for part in text.split(",")]
    except ValueError as error:
        example = "0,1,2" if kind is int else "0,0.5,1"
        raise ValueError(f"{option} {text}: numbers with commas between them, {example}") from error


def facts(name: str, task: PromptTask, found: Prompted) -> dict[str, Any]:
    """What there is to say, as plain data."""
    runs = [
        {"seed": run.draw.seed, "random_labels": run.draw.random_labels, "score": run.score.value}
        | {"low": run.interval and run.interval.low, "high": run.interval and run.interval.high}
        for run in found.runs
    ]
    shares = []
    for share in found.by_share:
        spread, against = found.spread(share), found.against(share)
        shares.append(
            {"random_labels": share}
            | {"spread": spread and asdict(spread), "first_minus_this": against and asdict(against)}
        )
    return {
        "task": name,
        "scoring": task.scoring,
        "normalisation": task.normalisation,
        "metric": found.metric.name,
        "definition": found.runs[0].score.signature,
        "rows": len(found.runs[0].gold),
        "constant": found.constant,
        "runs": runs,
        "shares": shares,
    }


def table(found: Prompted) -> Table:
    """A line for each draw, and below them what they come to."""
    grid = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("random labels", "seed", found.metric.name, "95% interval"):
        grid.add_column(column, justify="right", no_wrap=True)
    for share, runs in found.by_share.items():
        for run in runs:
            grid.add_row(f"{share:g}", str(run.draw.seed), f"{run.score.value:.4f}", between(run.interval))
        spread = found.spread(share)
        if spread is not None:
            grid.add_row(f"{share:g}", "mean", f"{spread.mean:.4f}", f"± {spread.deviation:.4f} over seeds")
    first, *others = found.by_share
    for share in others:
        against = found.against(share)
        if against is not None:
            told = f"{between(against.difference)}, p = {against.p:.3f}"
            grid.add_row(f"{first:g} less {share:g}", "", f"{against.difference.value:.4f}", told)
    if found.constant is not None:
        grid.add_row("the commonest", "", f"{found.constant:.4f}", "")
    return grid


def _tuned(name: str, folder: Path, data: Path, asked: Asked, *, as_json: bool) -> None:
    """A fine-tuned model's metric on a labelled file."""
    own = read_description(folder).task
    if asked.task != own:
        raise ValueError(f"{folder} is tuned for the task {own}, not {asked.task}: --task {own}")
    unheard(f"prompts, and {folder} is tuned for its task: leave it out", asked.of_prompts)
    found = tuning.predict(folder, data, asked.out, labelled=True, say=note)
    assert found.score is not None
    if as_json:
        low_to_high = None if found.interval is None else asdict(found.interval)
        score = {"metric": found.score.name, "score": found.score.value, "definition": found.score.signature}
        facts = {"model": name, "data": str(data), "task": own, "rows": found.examples}
        print(json.dumps(facts | score | {"interval": low_to_high}))
        return
    printer().print(f"{found.score}{interval(found.interval)}, {found.examples:,} rows", soft_wrap=True)


def _write(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    write_bytes(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
