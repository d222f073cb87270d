"""What a person sees of a run while it goes on: a panel, lines of text, a notebook's cell, other tools, or nothing."""

from weft.training.watch.choose import choose_watcher
from weft.training.watch.exporters import WATCHERS, Exporter
from weft.training.watch.figures import clock, listed, picture, size, thousands
from weft.training.watch.notebook import NotebookWatcher
from weft.training.watch.panel import LiveWatcher
from weft.training.watch.plain import PlainWatcher
from weft.training.watch.record import MEASURED, Record
from weft.training.watch.watcher import Several, Watcher

__all__ = [
    "MEASURED",
    "WATCHERS",
    "Exporter",
    "LiveWatcher",
    "NotebookWatcher",
    "PlainWatcher",
    "Record",
    "Several",
    "Watcher",
    "choose_watcher",
    "clock",
    "listed",
    "picture",
    "size",
    "thousands",
]
