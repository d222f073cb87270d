"""The run's log: one JSON object a line, one line a logged step, so that any tool can read it while it grows."""

import errno
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from weft.files import write_bytes
from weft.training.checkpoints import SaveFailed

NAME = "log.jsonl"


class Log:
    """Appends to `path`; nothing where it is None. Lines after `step` (of a run that was cut short) are dropped first,
    as are those of evaluations after the step `evaluated`, which will be done again. A new run (step 0) sets the log of
    an earlier one aside, as log-1.jsonl, log-2.jsonl …

    Every field but `seconds`, `tokens_per_second`, `gflops` and `memory` is the same in an interrupted and an
    uninterrupted run.
    """

    def __init__(self, path: Path | None, step: int, evaluated: int = 0):
        self.path = path
        self.file = None
        if path is None:
            return
        try:
            if not step:
                set_aside(path)
            lines = read(path) if path.exists() else []
            kept = [line for line in lines if line["step"] <= (evaluated if "evaluation" in line else step)]
            write_bytes(path, "".join(f"{json.dumps(line)}\n" for line in kept).encode())
            self.file = path.open("ab", buffering=0)  # nothing of a line is held back, nor written twice on a full disk
        except OSError as error:
            raise SaveFailed(
                f"{path} cannot be written: {error.strerror or error}; name a folder that can, or make room"
            ) from error

    def write(self, line: dict[str, Any]) -> None:
        """Append one line; it survives the process's death from here on. SaveFailed where it cannot be written."""
        if self.file is None:
            return
        try:
            data = (json.dumps(line, allow_nan=False) + "\n").encode()
            if self.file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise SaveFailed(
                f"{self.path} cannot be written: {error.strerror or error}; checkpoints are intact. "
                "Make room, then resume"
            ) from error

    def sync(self) -> None:
        """Bring the lines to the disk itself, before a checkpoint claims that they are there."""
        if self.file is not None:
            os.fsync(self.file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        if self.file is not None:
            self.file.close()


def set_aside(path: Path) -> None:
    """Keep the log of a run that left no checkpoint, under a name of its own."""
    if not path.is_file() or not path.stat().st_size:
        return
    number = 1
    while (aside := path.with_name(f"{path.stem}-{number}{path.suffix}")).exists():
        number += 1
    path.rename(aside)


def read(path: Path | str) -> list[dict[str, Any]]:
    """The whole lines of a log; a last line that a kill cut short is left out. ValueError names any other bad line."""
    lines = Path(path).read_text(encoding="utf-8").split("\n")
    found: list[dict[str, Any]] = []
    for number, text in enumerate(lines[:-1], start=1):
        try:
            line = json.loads(text)
            found.append({**line, "step": int(line["step"])})
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} line {number} is not a line of a training log: {text[:60]!r}") from error
    return found
