"""Pairs of texts for encoder–decoders: two files line by line, or one of two columns."""

from collections.abc import Callable
from pathlib import Path

from weft.data.reading import lines_of, read_text
from weft.registry import Registry

Pair = tuple[str, str]  # source, target

# Registered: from the paths (or other words) that a user gave to it, as in SOURCES.
PAIR_SOURCES: Registry[Callable[[tuple[str, ...]], list[Pair]]] = Registry(
    "source of pairs", "weft.pairs", ("weft.data.pairs", "weft.data.made")
)


def read_pairs(source: Path | str, target: Path | str | None = None) -> list[Pair]:
    """Line i of `source` with line i of `target`; or, with one file, the two tab-separated columns of each line.

    Files are UTF-8, also .gz. ValueError where the line counts differ, or a line has not exactly one tab; for a folder;
    for two files of two columns each.
    """
    sources = _lines(source)
    if target is not None:
        targets = _lines(target)
        if all("\t" in line for line in (*sources, *targets)):
            raise ValueError(
                f"{source} and {target} have a tab in every line, so each looks like pairs of its own, not like one "
                "side of them: put them into one file (data.held_out says what share of it is held out), or give one"
            )
        if len(sources) != len(targets):
            raise ValueError(
                f"{source} has {len(sources)} lines and {target} has {len(targets)}: line i of one must translate "
                "line i of the other"
            )
        return list(zip(sources, targets, strict=True))
    pairs = []
    for number, line in enumerate(sources, start=1):
        left, tab, right = line.partition("\t")
        if not tab or "\t" in right:
            tabs = line.count("\t")
            raise ValueError(
                f"{source}, line {number}: source, one tab, target; there are {tabs} tabs (plain text trains "
                "an encoder–decoder by another objective: --objective spans)"
            )
        pairs.append((left, right))
    return pairs


def _from_files(paths: tuple[str, ...]) -> list[Pair]:
    if not 1 <= len(paths) <= 2:
        raise ValueError(
            f"pairs come from two line-aligned files or one TSV of two columns, and {len(paths)} paths were given: "
            "--data source.txt --data target.txt, or --data pairs.tsv"
        )
    return read_pairs(*paths)


PAIR_SOURCES.register("pairs", _from_files)


def _lines(path: Path | str) -> list[str]:
    """The lines of a file, see `lines_of`. ValueError for a folder."""
    if Path(path).is_dir():
        raise ValueError(
            f"{path} is a folder, and pairs come from files: name the two line-aligned files, or the one of two columns"
            "; of a folder with a file for each language (train.en, train.de), say data.directions=en-de"
        )
    return lines_of(read_text(Path(path)))
