"""Commands run inside the test's own process, and what they came to."""

import contextlib
import io
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from weft.cli import main
from weft.training.watch import Watcher

# A run that takes a fraction of a second, and whose bits do not hang on what was measured (see `one_kernel`).
TINY = ("--debug", "--quiet", "--set", "train.steps=2", "--set", "train.batch=2", "--set", "train.precision=fp32")
SIX = ("--set", "train.steps=6", "--set", "train.checkpoint_every=2", "--set", "model.dropout=0.1")  # after TINY
# Of commands in a process of their own.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


class Output(io.TextIOWrapper):
    """A standard stream that can be read afterwards."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    def text(self) -> str:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode(self.encoding)


def weft(*words: object, encoding: str = "utf-8") -> Done:
    """`weft WORDS`."""
    out, err, status = Output(encoding), Output(encoding), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return Done(status, out.text(), err.text())


def good(*words: object) -> Done:
    """A command that must succeed."""
    done = weft(*words)
    assert done.status == 0, done.err
    return done


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stop_after(patch: pytest.MonkeyPatch, step: int) -> None:
    """Ctrl-C in the middle of a step's bookkeeping."""
    patch.setattr(Watcher, "step", lambda _, record: record.step == step and signal.raise_signal(signal.SIGINT))
