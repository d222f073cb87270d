"""`weft eval --judge`."""

from __future__ import annotations

import json
from pathlib import Path

from weft.cli.prompting import numbers
from weft.cli.shared import note, printer
from weft.evaluate.drawn import Drawing
from weft.hub import find
from weft.recipes.modalities.judge import COUNT, judge_drawing
from weft.recipes.modality import Drawn


def command(
    name: str, judge: str, data: tuple[str, ...], count: int | None, seeds: str | None, *, as_json: bool
) -> None:
    """Print what the judge makes of what a model draws: some of each class, beside the pictures in a folder; for each
    of some seeds ("0,1,2"; None: 0)."""
    if len(data) != 1:
        raise ValueError(f"drawn pictures are held against those in one folder, and {len(data)} were given: --data DIR")
    for seed in numbers("--seeds", seeds or "0", int):
        how = Drawn(count=COUNT if count is None else count, seed=seed)
        found = judge_drawing(find(name), find(judge), Path(data[0]), how, say=note)
        if as_json:
            said = {"model": name, "judge": judge, "data": list(data), "seed": seed, "pictures": found.count}
            print(json.dumps(said | found.figures() | {"right_by_class": found.by_class}))
        else:
            _print(judge, found)


def _print(judge: str, found: Drawing) -> None:
    if found.right is not None:
        each = ", ".join(f"{name} {share:.2f}" for name, share in found.by_class.items())
        printer().print(f"{found.right:.3f} of {found.count:,} pictures are what was asked, says {judge} ({each})")
    printer().print(
        f"Fréchet distance {found.distance:.3f} in its vectors; two halves of the real pictures lie {found.halves:.3f} "
        "apart"
    )
