"""weft: every transformer of the classic lectures is the same block with different parts."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft.allocator import keep_memory as keep_memory
    from weft.data import load_tokenizer as load_tokenizer
    from weft.generate import Beams as Beams
    from weft.generate import Sampling as Sampling
    from weft.hub import LoadError as LoadError
    from weft.hub import Model as Model
    from weft.hub import Pooling as Pooling
    from weft.hub import load as load
    from weft.hub import save as save
    from weft.inspect import describe as describe
    from weft.models import Blueprint as Blueprint
    from weft.training.loop import train as train
    from weft.training.settings import TrainSettings as TrainSettings

    __version__: str

# The public names and where they live; nothing is imported before it is asked for.
_HOMES = {
    "Beams": "weft.generate",
    "Blueprint": "weft.models",
    "LoadError": "weft.hub",
    "Model": "weft.hub",
    "Pooling": "weft.hub",
    "Sampling": "weft.generate",
    "TrainSettings": "weft.training.settings",
    "describe": "weft.inspect",
    "keep_memory": "weft.allocator",
    "load": "weft.hub",
    "load_tokenizer": "weft.data",
    "save": "weft.hub",
    "train": "weft.training.loop",
}
__all__ = [
    "Beams",
    "Blueprint",
    "LoadError",
    "Model",
    "Pooling",
    "Sampling",
    "TrainSettings",
    "describe",
    "keep_memory",
    "load",
    "load_tokenizer",
    "save",
    "train",
]


def __getattr__(name: str) -> object:
    if name == "__version__":  # pyproject.toml's, which installing has written down
        return import_module("importlib.metadata").version("weft")
    if name not in _HOMES:
        raise AttributeError(f"module 'weft' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
