"""`weft report`."""

from __future__ import annotations

from pathlib import Path

from weft.training.report import compare, write_report

COMPARISON = "comparison.html"


def command(folders: list[Path], out: Path | None) -> None:
    """Write the page of one run (into its folder, where `out` is None), or one that compares several, and print where
    it is."""
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{folder} is no folder: name those that `weft train --out` wrote")
    if len({folder.resolve() for folder in folders}) == 1:
        print(write_report(folders[0], out))
    else:
        print(compare(folders, out or Path(COMPARISON)))
