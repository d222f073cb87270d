"""What `weft compare NAME` names: a comparison that is registered, or a file of one's own."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from weft.recipes.comparing.comparison import COMPARISONS, Comparison
from weft.registry import UnknownName, suggest
from weft.settings import SettingError, from_data

SUFFIXES = (".toml", ".json")


def find_comparison(name: str) -> Comparison:
    """A comparison by its name, or by its file. UnknownName; ValueError, naming the file, for what is none."""
    if name in COMPARISONS.names():
        return COMPARISONS.get(name)
    if Path(name).suffix in SUFFIXES:
        return read_comparison(Path(name))
    known = suggest(name, COMPARISONS.names())
    raise UnknownName(f"no comparison is called {name!r}; {known}; a file of one's own ends in {' or '.join(SUFFIXES)}")


def read_comparison(path: Path) -> Comparison:
    """The comparison in a file of TOML or JSON, called as the file is. ValueError names the file and the setting."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path} is no {path.suffix[1:].upper()}: {error}") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path} holds no comparison: it needs candidates, each with name, family and objective")
    try:
        return from_data(Comparison, {"name": path.stem} | data)
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from error


def copy_comparison(name: str, target: Path) -> None:
    """Write the file of a shipped comparison to `target`. ValueError where it is there already, or is no .toml."""
    from weft.recipes.comparing.shipped import SHIPPED  # which reads comparisons by this file

    if name not in SHIPPED:
        raise ValueError(
            f"the comparison {name!r} is a plug-in's and has no file of weft's: copy it from where it lives"
        )
    if target.suffix != ".toml":
        raise ValueError(f"{target}: a comparison is a file of TOML, mine.toml say")
    if target.exists():
        raise ValueError(f"{target} is there already: name another file, or move it away")
    text = SHIPPED[name].read_text(encoding="utf-8").replace(f"weft compare {name}", f"weft compare {target}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
