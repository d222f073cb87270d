"""A comparison's folder: what it is, before its first part, recognised on resume, and cleared for another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from weft.data import remove_store
from weft.data.sources import quiet
from weft.files import digest, read_json
from weft.outputs import check_output
from weft.recipes.comparing.comparison import Candidate, Comparison, FineTuning, tuning_of
from weft.recipes.folder import clear as clear_run
from weft.recipes.tuning import KINDS, planned, settled
from weft.recipes.tuning.folder import clear as clear_tuning
from weft.recipes.tuning.folder import existing as tuning_in

COMPARE = "compare.json"  # the first to be written and the last to go: where it is, the others are weft's
RESULT, TABLE, PICTURE = "comparison.json", "comparison.md", "comparison.png"
TOKENS, MADE = "tokens", "made"  # folders in it: the text's tokens, and files that were made
_KEYS = {"comparison", "data", "costs", "budget"}


def check_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """ValueError where a comparison may not write into `out`: nothing that weft did not write is replaced."""
    check_output(out, resume=resume, overwrite=overwrite)
    there = {path.name for path in out.iterdir() if not path.name.startswith(".")} if out.is_dir() else set()
    if existing(out) is None and not there <= {TOKENS, MADE}:  # which come before it is described
        raise ValueError(
            f"{out} holds files and no {COMPARE} of weft's, so it is not a comparison's folder, and nothing in it is "
            "replaced: choose another folder, or move them away"
        )


def existing(out: Path) -> dict[str, Any] | None:
    """What the comparison in a folder is; None where there is none."""
    if not (out / COMPARE).is_file():
        return None
    facts = read_json(out / COMPARE)
    return facts if isinstance(facts, dict) and facts.keys() == _KEYS else None


def check_same(out: Path, found: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """ValueError, naming what is not, where the comparison that is resumed is another. facts: of the one asked for."""
    was, now = (dict(_leaves({name: told[name] for name in ("comparison", "data")})) for told in (found, facts))
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            raise ValueError(
                f"{name} was {was.get(name)} when {out} was started and is {now.get(name)} now, which makes it another "
                "comparison: set it as it was to resume, or choose another --out"
            )


def _leaves(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every plain value by where it stands: "comparison.candidates.0.family"."""
    if not isinstance(data, dict | list) or not data:
        yield path, data
        return
    for name, inner in data.items() if isinstance(data, dict) else enumerate(data):
        yield from _leaves(inner, f"{path}.{name}" if path else str(name))


def files(comparison: Comparison) -> list[str]:
    """The files that it reads, each once."""
    tunings = [name for tuning in comparison.tunings for name in (tuning.data, tuning.dev)]
    return list(dict.fromkeys([*comparison.data.paths, *tunings]))


def digests(comparison: Comparison, folder: Path) -> dict[str, str]:
    """What is in them. ValueError for one that is not there."""
    for name in files(comparison):
        if not (folder / name).is_file():
            raise ValueError(
                f"there is no file {folder / name}: {comparison.name} reads {', '.join(files(comparison))}, and --data "
                "names the folder they are in"
            )
    return {name: digest(folder / name) for name in files(comparison)}


def sizes(comparison: Comparison, folder: Path) -> dict[str, int]:
    """How many examples each tuning has. ValueError, naming file and line, for what is wrong in them, for fewer than
    are to be learned from, and for what no candidate could be tuned to once it is pretrained."""
    found = dict[str, int]()
    for tuning in comparison.tunings:
        kind = KINDS.get(tuning.task)
        examples, held_out = (
            kind.read(folder / path, tuning.columns, labelled=True) for path in (tuning.data, tuning.dev)
        )
        count = len(examples)
        if count < max(tuning.counts):
            raise ValueError(
                f"the tuning {tuning.name}: counts={list(tuning.counts)}, and {folder / tuning.data} has {count:,} "
                "examples: ask for fewer, or for all (0)"
            )
        for candidate in comparison.candidates:
            _check_tunable(comparison, candidate, tuning, folder, examples, held_out)
        found[tuning.name] = count
    return found


def _check_tunable(
    comparison: Comparison,
    candidate: Candidate,
    tuning: FineTuning,
    folder: Path,
    examples: list[Any],
    held_out: list[Any],
) -> None:
    """ValueError where a tuning would be refused once the candidate is pretrained: its metric, its settings, the rows
    and the pooling of such a model, labels that only the held-out examples have."""
    model = comparison.recipe(candidate, steps=1, seed=0).model
    module = model.empty()
    try:
        for count in tuning.counts:
            asked = tuning_of(
                tuning, candidate, begin=folder, folder=folder, count=count, of=len(examples), seed=comparison.seeds - 1
            )
            plan = planned(asked, module, model.config, examples, held_out, quiet)
            settled(asked.train, plan.metric, len(plan.examples))
    except ValueError as error:
        raise type(error)(f"the tuning {tuning.name} of the candidate {candidate.name}: {error}") from error


def placed(comparison: Comparison, folder: Path, out: Path) -> Comparison:
    """The same with its text's paths where they are, and a place for its tokens."""
    paths = tuple(str(folder / path) for path in comparison.data.paths)
    return replace(comparison, data=replace(comparison.data, paths=paths, store=str(out / TOKENS)))


def clear(out: Path) -> None:
    """Remove what an earlier comparison wrote here, and nothing else."""
    for path in sorted(out.glob("*/*-steps/*")):
        if path.is_file() and path.suffix == ".json":
            path.unlink()
        elif path.is_dir():
            if tuning_in(path) is not None:
                clear_tuning(path)
            clear_run(path)
    for path in sorted(out.glob("*/*-steps/**/"), reverse=True):
        with contextlib.suppress(OSError):  # it is not empty
            path.rmdir()
    for path in out.glob("*/"):
        with contextlib.suppress(OSError):
            path.rmdir()
    remove_store(out / TOKENS)
    for name in (TABLE, RESULT, PICTURE, COMPARE):
        (out / name).unlink(missing_ok=True)
