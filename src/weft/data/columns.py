"""Pairs from two columns of tables: text to text, several tasks in one model, each asked for by its prefix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from weft.data.labelled.texts import read_texts
from weft.data.names import Side, side_of
from weft.data.pairs import Pair
from weft.data.records import RECORDS, record_kind


def read_pair_tables(paths: Sequence[str], columns: Sequence[str], prefixes: Sequence[str]) -> dict[Side, list[Pair]]:
    """The pairs of each side: of every row of .csv, .tsv, .jsonl or .parquet files the columns that `columns` names,
    source and target, the source behind its file's prefix (Raffel et al. 2020, §2.4: "sst2 sentence: …"). Two numbers,
    from 1, are of a .csv or .tsv without a header. What is no text becomes one as `read_texts` has it.

    prefixes: one for each path; none: sources as they are. The side is what the files' names say (`side_of`): all train
    where they say nothing; a test set is left out. ValueError for another number of columns or prefixes, a file that is
    no table, where nothing is left to train on, and, naming the line, for a row without one of the two.
    """
    if len(columns) != 2:
        raise ValueError(f"data.columns={','.join(columns)} names {len(columns)} columns: a source's and a target's")
    if prefixes and len(prefixes) != len(paths):
        raise ValueError(f"{len(prefixes)} data.prefixes and {len(paths)} paths: give one for each --data, or none")
    found: dict[Side, list[Pair]] = {Side.TRAIN: [], Side.HELD_OUT: []}
    for path, prefix in zip(map(Path, paths), prefixes or [""] * len(paths), strict=True):
        if record_kind(path) is None:
            raise ValueError(f"{path} has no columns, and data.columns names some: give {', '.join(sorted(RECORDS))}")
        side = side_of(path.name)
        if side != Side.LEFT_OUT:
            found[Side.TRAIN if side is None else side] += _pairs(path, columns, prefix)
    if not found[Side.TRAIN]:
        raise ValueError(
            f"{', '.join(paths)}: there are no pairs to train on, by the files' names all are held out or of a test "
            "set: give one called train, too"
        )
    return found


def _pairs(path: Path, columns: Sequence[str], prefix: str) -> list[Pair]:
    numbered = record_kind(path) in (".csv", ".tsv") and all(column.isdecimal() for column in columns)
    source, target = columns
    return [
        (f"{prefix} {row.texts[source]}" if prefix else row.texts[source], row.texts[target])
        for row in read_texts(path, columns, header=not numbered)
    ]


def by_prefix(sources: Sequence[str], prefixes: Mapping[str, str]) -> dict[str, list[int]]:
    """Where the sources that begin with each prefix and a space stand, by the prefixes' names."""
    found: dict[str, list[int]] = {}
    for place, source in enumerate(sources):
        for prefix, name in prefixes.items():
            if source.startswith(f"{prefix} "):
                found.setdefault(name, []).append(place)
    return found
