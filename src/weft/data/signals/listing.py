"""The files of a folder that a person put there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from weft.data.records import record_kind


def files_below(folder: Path, endings: Sequence[str], *, depths: Sequence[int] = ()) -> list[Path]:
    """Those whose names end so, in whatever case, in the order of their names: in the folder and all below it, or so
    many folders below it as one of `depths` says. What is hidden, or was put beside by a system (a name that begins
    with a dot, __MACOSX), is none of them."""
    found = [path for path in folder.rglob("*") if path.name.lower().endswith(tuple(endings)) and path.is_file()]
    parts = [path.relative_to(folder).parts for path in found]
    shown = [not any(one.startswith(".") or one == "__MACOSX" for one in part) for part in parts]
    deep = [not depths or len(part) - 1 in depths for part in parts]
    return sorted(path for path, seen, fits in zip(found, shown, deep, strict=True) if seen and fits)


def tables_in(folder: Path, kinds: Collection[str]) -> list[Path]:
    """The files of records that lie in a folder itself, of some kinds (see `record_kind`), as `files_below` has
    them."""
    return [path for path in files_below(folder, ("",), depths=(0,)) if record_kind(path) in kinds]
