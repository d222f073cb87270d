"""Which watcher suits where the output goes."""

import sys
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console

from weft.training.watch.notebook import NotebookWatcher
from weft.training.watch.panel import LiveWatcher
from weft.training.watch.plain import PlainWatcher
from weft.training.watch.watcher import Several, Watcher


def choose_watcher(*, silent: bool = False, stream: TextIO | None = None, also: Sequence[Watcher] = ()) -> Watcher:
    """A cell's output in a notebook, a panel on a terminal, lines elsewhere, nothing if `silent`; and `also` others
    (`exporters`). Standard error by default."""
    shown = Watcher() if silent else _shown(stream)
    return Several((shown, *also)) if also else shown


def _shown(stream: TextIO | None) -> Watcher:
    if stream is None and Console().is_jupyter:
        return NotebookWatcher()
    target: TextIO = sys.stderr if stream is None else stream
    console = Console(file=target, highlight=False, force_jupyter=False)
    return LiveWatcher(console) if console.is_terminal and not console.is_dumb_terminal else PlainWatcher(target)
