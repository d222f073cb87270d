"""`weft report`."""

from __future__ import annotations

from pathlib import Path

from weft.outputs import check_file
from weft.training.report import compare, write_report

COMPARISON = "comparison.html"


def command(folders: list[Path], out: Path | None, *, overwrite: bool) -> None:
    """Write the page of one run (into its folder, where `out` is None: a run's own page is always written anew), or one
    that compares several, and print where it is."""
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{folder} is no folder: name those that `weft train --out` wrote")
    alone = len({folder.resolve() for folder in folders}) == 1
    out = Path(COMPARISON) if out is None and not alone else out
    if out is not None:
        check_file(out, overwrite=overwrite)
    print(write_report(folders[0], out) if out is None or alone else compare(folders, out))
