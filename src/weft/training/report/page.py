"""Pages whole: one run's, and one that compares several."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from string import Template

from weft.files import write_bytes
from weft.training.report import sections
from weft.training.report.facts import read_run
from weft.training.report.markup import Html, joined, safe, styled

PAGE = "report.html"
MARK = '<meta name="generator" content="weft report">'  # a page of ours, which may be replaced


def write_report(folder: Path | str, out: Path | str | None = None) -> Path:
    """Write the page of the run in a folder, from its files alone, and return where it is: report.html in the folder,
    or `out`. ValueError where there is no run, or `out` is a file that is no page of weft's."""
    facts = read_run(Path(folder))
    parts = [
        sections.head(facts), sections.tiles(facts), sections.baselines(facts), sections.metrics(facts),
        sections.curves(facts),
        sections.evaluations(facts), sections.samples(facts),
        styled("div", "columns", sections.speed(facts), sections.data(facts), sections.decisions(facts),
               sections.hardware(facts)),
        sections.settings(facts), sections.notices(facts),
    ]  # fmt: skip
    return write_page(Path(out) if out is not None else Path(folder) / PAGE, facts.name, parts)


def write_page(out: Path, title: str, parts: Iterable[Html]) -> Path:
    """A self-contained page. ValueError where `out` is a file that is not a page of weft's."""
    if out.is_dir():
        raise ValueError(f"{out} is a folder: name a file for the page, {out / PAGE} say")
    if out.exists() and not _ours(out):
        raise ValueError(f"{out} is not a page that weft wrote, and is not replaced: name another file")
    assets = files("weft.training.report") / "assets"
    template, style, script = ((assets / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    body = joined([*parts, styled("footer", "", "written by weft; this page needs no network")])
    text = Template(template).substitute(title=safe(title), style=style, script=script, body=body)
    write_bytes(out, text.encode())
    return out


def _ours(path: Path) -> bool:
    """Whether weft wrote this page. Only its beginning is read: what a person names may be any file, of any size."""
    with path.open("rb") as file:
        return MARK.encode() in file.read(1000)
