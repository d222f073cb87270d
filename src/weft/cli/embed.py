"""`weft embed`."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from weft.cli.folders import POOLINGS
from weft.cli.shared import note, opened, printer, unheard
from weft.data.progress import counted
from weft.data.reading import lines_of, read_text
from weft.data.records import read_records, record_kind
from weft.data.sources import COLUMN
from weft.files import write_bytes
from weft.hub import Pooling, find
from weft.outputs import check_file
from weft.recipes.modality import of_folder, reads_signals
from weft.registry import suggest


def command(
    name: str, source: Path, out: Path, column: str | None, pooling: str | None, *, overwrite: bool, as_json: bool
) -> None:
    """Write a vector for each text, or for each signal in a folder or file, fp32 [N, D], in their order."""
    if out.suffix != ".npy":
        raise ValueError(f"--out {out}: vectors are written as .npy, which numpy.load reads")
    if pooling is not None and pooling not in POOLINGS:
        raise ValueError(f"--pooling {pooling}: {suggest(pooling, POOLINGS)}")
    folder = find(name)
    if reads_signals(folder):
        modality = of_folder(folder)
        check_file(out, reads=(source,), endings=modality.endings, overwrite=overwrite)
        unheard("text, and this model reads signals: leave it out", {"pooling": pooling, "column": column})
        began = time.perf_counter()
        names, found = modality.embed(folder, source, say=note)
        _write(name, modality.called, names, np.asarray(found), out, time.perf_counter() - began, as_json=as_json)
        return
    check_file(out, reads=(source,), overwrite=overwrite)
    texts = read_texts(source, column or COLUMN)
    model = opened(folder)
    if pooling is None and model.pooling is None:
        raise ValueError(f"{name} declares no pooling (modules.json): say it, --pooling mean")
    began = time.perf_counter()
    how = None if pooling is None else Pooling((pooling,), normalise=True)
    found = model.embed(texts, pooling=how, advance=counted(note, "texts", len(texts)))
    seconds = time.perf_counter() - began
    _write(name, "texts", texts, found.cpu().numpy(), out, seconds, as_json=as_json)


def _write(
    name: str, called: str, read: Sequence[str], found: np.ndarray, out: Path, seconds: float, *, as_json: bool
) -> None:
    """The vectors [N, D], and what is said of them."""
    file = io.BytesIO()
    np.save(file, found)
    write_bytes(out, file.getvalue())
    if as_json:
        figures = {"model": name, called: len(read), "width": found.shape[1], "seconds": seconds}
        print(json.dumps(figures | {"out": str(out)}))
        return
    printer().print(f"{len(read):,} vectors of {found.shape[1]} numbers in {seconds:.2f} s: {out}")


def read_texts(path: Path, column: str) -> list[str]:
    """A text for each line of a file, or for each row of one of records (.csv, .tsv, .jsonl, .parquet): as many vectors
    as lines or rows. ValueError where there are none, and for a row without a text."""
    if record_kind(path) is None:
        texts = lines_of(read_text(path))
    else:
        rows = list(read_records(path, column))
        missing = [row.line for row in rows if row.text is None]
        if missing:
            raise ValueError(f"{path}: line {missing[0]} has no {column!r}, so it would have no vector: leave it out")
        texts = [row.text for row in rows if row.text is not None]
    if not texts:
        raise ValueError(f"{path} has no text in it")
    return texts
