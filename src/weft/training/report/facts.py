"""What a run's folder says of the run. Whatever is missing is left out: a log is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from weft.files import DamagedFile, read_json
from weft.training import checkpoints, log

RUN, REPORT = "run.json", "report.json"
Point = tuple[float, float]
LIKELIHOOD = "nats_per_token"  # the evaluator's figure that is drawn beside the training loss


@dataclass(frozen=True)
class Facts:
    """One run. settings: by dotted name; told: what report.json holds; steps, evaluations: the lines of the log."""

    folder: Path
    recipe: str
    digest: str
    steps: Sequence[Mapping[str, Any]]
    evaluations: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)
    length: int = 0  # steps of the whole run; 0 = not known

    @property
    def name(self) -> str:
        """The folder's."""
        return self.folder.resolve().name

    def part(self, name: str) -> Mapping[str, Any]:
        """One of the mappings in report.json; empty where it is not there."""
        found = self.told.get(name)
        return found if isinstance(found, dict) else {}

    def series(self, name: str, against: str = "step") -> list[Point]:
        """A field of each logged step over another; steps without it are left out."""
        pairs = ((line.get(against), line.get(name)) for line in self.steps)
        return [(x, y) for x, y in pairs if isinstance(x, int | float) and isinstance(y, int | float)]

    def evaluated(self, name: str) -> list[Point]:
        """One of the evaluator's figures over the steps."""
        pairs = ((line["step"], line["evaluation"].get(name)) for line in self.evaluations)
        return [(x, y) for x, y in pairs if isinstance(y, int | float)]

    @property
    def stopped(self) -> tuple[int, int] | None:
        """The step that the run stands at and its steps, where it is not at its end."""
        at = max((int(line["step"]) for line in (*self.steps, *self.evaluations)), default=0)
        return (at, self.length) if at < self.length else None

    @property
    def unit(self) -> str:
        """What the log counts: "tokens", or "rows"."""
        return str(self.steps[-1].get("unit", "tokens")) if self.steps else "tokens"

    def figures(self) -> dict[str, float]:
        """The evaluator's figures at the end."""
        last = self.evaluations[-1]["evaluation"] if self.evaluations else {}
        found = self.part("figures") or last
        return {str(name): value for name, value in found.items() if isinstance(value, int | float)}

    def typical(self, name: str) -> float | None:
        """The median of a field over the steps: the first ones, slower than the rest, do not move it."""
        values = [value for _, value in self.series(name)]
        return median(values) if values else None

    def last(self, name: str) -> float | None:
        """A field of the last step."""
        values = self.series(name)
        return values[-1][1] if values else None

    def peak(self) -> float:
        """GFLOP/s of matrix products that were measured, over all processes; 0 = not measured."""
        decisions = self.part("decisions")
        precision = decisions.get("precision")
        if not isinstance(precision, dict):
            return 0.0
        return float(precision.get(f"{precision.get('dtype')}_gflops") or 0) * int(decisions.get("processes") or 1)

    def share(self) -> float | None:
        """Of the measured peak, in the typical step."""
        gflops, peak = self.typical("gflops"), self.peak()
        return gflops / peak if gflops is not None and peak else None


def read_run(folder: Path) -> Facts:
    """The facts of the run in a folder. ValueError where there is none, or a file of it is damaged."""
    path = folder / log.NAME
    if not path.is_file():
        raise ValueError(f"{folder} holds no {log.NAME}, so there is no run to report on: name a run's folder")
    lines = log.read(path)
    run, told = (_mapping(folder / name) for name in (RUN, REPORT))
    return Facts(
        folder=folder,
        recipe=str(run.get("recipe", "")),
        digest=str(run.get("data_digest", "")),
        steps=[line for line in lines if "evaluation" not in line],
        evaluations=[line for line in lines if isinstance(line.get("evaluation"), dict)],
        settings=flat(run.get("settings")),
        told=told,
        length=_length(folder),
    )


def _length(folder: Path) -> int:
    """The run's steps, as its newest checkpoint has them; 0 where there is none that can be read."""
    parent = folder / checkpoints.FOLDER
    for path in checkpoints.steps(parent) if parent.is_dir() else []:
        try:
            return int(read_json(path / checkpoints.STATE)["decisions"]["steps"])
        except (ValueError, OSError, KeyError, TypeError):
            continue
    return 0


def flat(settings: Any) -> dict[str, Any]:
    """Settings by dotted name, "train.steps"; a model's by the names they are set with, "model.width"."""
    if not isinstance(settings, dict):
        return {}
    model, rest = settings.get("model"), {name: part for name, part in settings.items() if name != "model"}
    found: dict[str, Any] = {}
    if isinstance(model, dict):
        own = {"family": model.get("family")} | dict(model.get("config") or {}) | dict(model.get("parts") or {})
        found = {f"model.{name}": value for name, value in own.items()}
    for part, values in rest.items():
        if isinstance(values, dict):
            found |= {f"{part}.{name}": value for name, value in values.items()}
    return found


def _mapping(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found = read_json(path)
    if not isinstance(found, dict):
        raise DamagedFile(f"{path} holds no JSON object, so it is not a run's: restore it from a copy")
    return found
