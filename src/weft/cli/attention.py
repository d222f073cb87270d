"""`weft attention`."""

from __future__ import annotations

from pathlib import Path

from weft.cli.shared import opened, printer
from weft.hub import find
from weft.hub.looks import draw_looks, looks
from weft.outputs import check_file


def command(name: str, source: str, target: str | None, out: Path, *, overwrite: bool) -> None:
    """Draw where a decoder looks in its source, and say where the picture is."""
    if out.suffix not in (".html", ".png"):
        raise ValueError(f"--out {out} ends in neither .html, for a page, nor .png, for a picture: choose one of them")
    check_file(out, overwrite=overwrite)
    found = looks(opened(find(name)), source, target)
    draw_looks(found, out)
    printer().print(f"{' '.join(found.source)}\n{' '.join(found.target)}\n{out}", soft_wrap=True)
