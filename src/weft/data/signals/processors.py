"""Processors: from a signal to a row of vectors, or of ids; what says which in a model's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from weft.data.signals.colours import Colours
from weft.data.signals.mel import LogMel
from weft.data.signals.notation import Notation
from weft.data.signals.pictures import Patches
from weft.data.signals.series import Series
from weft.data.signals.steps import Steps
from weft.data.signals.wave import Waveform
from weft.files import DamagedFile, read_json, write_json
from weft.named import named_from_data, named_to_data

PROCESSOR = "processor.json"


@runtime_checkable
class Processor(Protocol):
    """A frozen value of settings: of each kind one class, by its name in `PROCESSORS`."""

    @property
    def channels_of_place(self) -> int:
        """How many numbers a place of a row has; 0 where it is an id."""
        ...

    def read(self, path: Path) -> np.ndarray:
        """The signal in a file, as `rows` takes it. ValueError naming the file for what is none, or is too large."""
        ...

    def rows(self, signals: np.ndarray) -> np.ndarray:
        """Signals as rows of vectors, fp32 [N, T, C]; or of ids, int64 [N, T]."""
        ...


class Reads(NamedTuple):
    """What makes rows of a model's signals, and the names of the classes it tells apart, by number."""

    processor: Processor
    classes: tuple[str, ...]


PROCESSORS: dict[str, type[Any]] = {
    "colours": Colours,
    "episodes": Steps,
    "log_mel": LogMel,
    "notation": Notation,
    "patches": Patches,
    "series": Series,
    "waveform": Waveform,
}


def write_processor(folder: Path, processor: Processor, classes: tuple[str, ...] = ()) -> None:
    """processor.json: the settings, and the names of the classes that the model tells apart."""
    write_json(folder / PROCESSOR, {"processor": named_to_data(processor, PROCESSORS), "classes": list(classes)})


def read_processor(folder: Path) -> Reads | None:
    """What `write_processor` wrote; None where it wrote nothing. DamagedFile for what is not understood."""
    path = folder / PROCESSOR
    if not path.is_file():
        return None
    data = read_json(path)
    try:
        if not isinstance(data, dict) or data.keys() != {"processor", "classes"}:
            raise ValueError("it has a processor and classes")
        return Reads(named_from_data("processor", data["processor"], PROCESSORS), tuple(map(str, data["classes"])))
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedFile(f"{path}: {error}") from error
