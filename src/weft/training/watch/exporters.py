"""Other people's tools as watchers: TensorBoard, Weights & Biases. Both are extras, imported when asked for."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from weft.files import DamagedFile, read_json, write_json
from weft.registry import Registry
from weft.training.watch.record import Record
from weft.training.watch.watcher import Watcher

Exporter = Callable[[Path, Mapping[str, Any]], Watcher]  # the run's folder, and its settings as data
WATCHERS: Registry[Exporter] = Registry("watcher", "weft.watchers")
EVENTS, WANDB, IDENTITY = "tensorboard", "wandb", "wandb.json"  # in the run's folder
REPLACED = (EVENTS, IDENTITY)  # those of them in which a new run removes or replaces what it finds
LINKS = ("latest-run", "debug.log", "debug-internal.log")  # in wandb/, to files of the newest run


def exporters(names: Iterable[str], out: Path, settings: Mapping[str, Any]) -> list[Watcher]:
    """The watchers of these names, for the run in `out`. ValueError where one is unknown, or its package is missing.

    Nothing is written before the run begins.
    """
    return [WATCHERS.get(name)(out, settings) for name in names]


def discard(out: Path) -> None:
    """Remove what the exporters below wrote of the run in a folder: event files, and the local files of its run at
    Weights & Biases. What else is in their folders stays."""
    for path in (out / EVENTS).glob("events.out.tfevents.*"):
        path.unlink()
    if identity := _identity(out / IDENTITY):
        for path in (out / WANDB).glob(f"*run-*-{identity}"):
            shutil.rmtree(path)
        for path in (out / WANDB / name for name in LINKS):
            if path.is_symlink() and not path.exists():
                path.unlink()
        (out / IDENTITY).unlink()
    for folder in (out / EVENTS, out / WANDB):
        with contextlib.suppress(OSError):  # it is not there, or somebody's things are in it
            folder.rmdir()


def _identity(path: Path) -> str:
    """The id of the run at Weights & Biases that a file holds; "" where it is not there, or not of weft's."""
    try:
        found = read_json(path)
    except (DamagedFile, FileNotFoundError):
        return ""
    identity = found.get("id") if isinstance(found, dict) else None
    return identity if isinstance(identity, str) and identity.isalnum() else ""  # it goes into a pattern


def needed(module: str, extra: str) -> Any:
    """An extra's module. ValueError, with the command that installs it, where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(f"{extra} is not installed: pip install 'weft[{extra}]', or pip install {extra}") from error


def numbers(record: Record) -> dict[str, float]:
    """What of a step is drawn, by name; what was not counted is left out."""
    found = {
        "loss": record.loss,
        **{f"loss/{name}": value for name, value in record.terms.items() if len(record.terms) > 1},
        "rate": record.rate,
        "gradient_norm": record.norm,
        record.unit: record.tokens,
        f"speed/{record.unit}_per_second": record.tokens_per_second,
        "speed/gflops": record.gflops,
        "speed/memory": record.memory,
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def judgements(values: Mapping[str, float | None]) -> dict[str, float]:
    """The evaluator's figures that are finite, by name."""
    return {f"evaluation/{name}": value for name, value in values.items() if value is not None}


class TensorBoard(Watcher):
    """Event files in the run's folder, tensorboard/: `tensorboard --logdir DIR`."""

    def __init__(self, out: Path, settings: Mapping[str, Any]):
        needed("tensorboard", "tensorboard")
        self.make = needed("torch.utils.tensorboard", "tensorboard").SummaryWriter
        self.folder, self.writer = out / EVENTS, None

    def begin(self, steps: int, done: int, headline: str, peak: float = 0.0) -> None:
        """Opens the file. What an earlier attempt wrote after step `done` is hidden; what another run wrote here is
        removed."""
        for path in self.folder.glob("events.out.tfevents.*") if not done else ():
            path.unlink()
        self.writer = self.make(log_dir=str(self.folder), purge_step=done + 1 if done else None)
        self.writer.add_text("run", headline, done)

    def step(self, record: Record) -> None:
        """A point on each curve."""
        self._add(numbers(record), record.step)

    def evaluated(self, step: int, values: Mapping[str, float | None]) -> None:
        """A point on each of its curves."""
        self._add(judgements(values), step)

    def close(self) -> None:
        """Closes the file."""
        if self.writer is not None:
            self.writer.close()

    def _add(self, values: Mapping[str, float], step: int) -> None:
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(name, value, step)


class WeightsAndBiases(Watcher):
    """A run of the project "weft" (or WANDB_PROJECT's), named after its folder; a resumed one goes on in the same.

    WANDB_MODE=offline keeps it on this machine. Points of steps that a killed run had reported already are dropped by
    the service when they are taken again: they have the same values.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any]):
        self.wandb = needed("wandb", "wandb")
        self.out, self.settings, self.run = out, dict(settings), None

    def begin(self, steps: int, done: int, headline: str, peak: float = 0.0) -> None:
        """Opens the run; its id is kept in the folder, wandb.json."""
        path = self.out / IDENTITY
        known = done and path.is_file()
        identity = str(read_json(path)["id"]) if known else uuid.uuid4().hex
        write_json(path, {"id": identity})
        self.run = self.wandb.init(
            project=None if "WANDB_PROJECT" in os.environ else "weft",
            name=self.out.resolve().name,
            id=identity,
            resume="allow",
            dir=str(self.out),
            config=self.settings,
            notes=headline,
        )

    def step(self, record: Record) -> None:
        """A point on each curve."""
        if self.run is not None:
            self.run.log(numbers(record), step=record.step)

    def evaluated(self, step: int, values: Mapping[str, float | None]) -> None:
        """A point on each of its curves."""
        if self.run is not None:
            self.run.log(judgements(values), step=step)

    def close(self) -> None:
        """Ends the run there."""
        if self.run is not None:
            self.run.finish()


WATCHERS.register("tensorboard", TensorBoard)
WATCHERS.register("wandb", WeightsAndBiases)
