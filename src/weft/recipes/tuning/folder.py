"""A tuning's folder: what it is, before its first step, recognised on resume, and cleared for another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weft.files import DamagedFile, read_json, sweep, write_json
from weft.hub.folder import CONFIG
from weft.hub.source import KEPT, TOKENIZER
from weft.hub.weights import WEIGHTS
from weft.outputs import check_output
from weft.recipes.tuning.tuned import HEAD, TASK
from weft.training import checkpoints, log

TUNE = "tune.json"  # the first to be written and the last to go: where it is, the others are weft's
_KEYS = {"model", "task", "data", "train", "seeds"}


def seed_folder(out: Path, seed: int) -> Path:
    """Where the log and the checkpoints of one seed lie."""
    return out / f"seed-{seed}"


def check_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """ValueError where a tuning may not write into `out`: nothing that weft's tuning did not write is replaced."""
    check_output(out, resume=resume, overwrite=overwrite)
    if out.is_dir() and existing(out) is None and any(not path.name.startswith(".") for path in out.iterdir()):
        raise ValueError(
            f"{out} holds files and no {TUNE} of weft's, so it is not a tuning's folder, and nothing in it is "
            "replaced: choose another folder, or move them away"
        )


def existing(out: Path) -> dict[str, Any] | None:
    """What the tuning in a folder is; None where there is none."""
    if not (out / TUNE).is_file():
        return None
    facts = read_json(out / TUNE)
    return facts if isinstance(facts, dict) and facts.keys() == _KEYS else None


def begin(out: Path, facts: Mapping[str, Any], *, resume: bool, overwrite: bool) -> None:
    """Say what the tuning is, before anything else is written. ValueError where the one that is resumed is another."""
    found = existing(out) if resume else None
    if found is not None:
        for name, (was, now) in _differing(found, facts).items():
            raise ValueError(
                f"{name} was {was} when {out} was started and is {now} now, which makes it another tuning: set it as "
                "it was to resume, or choose another --out"
            )
    if overwrite and existing(out) is not None:
        clear(out)
    write_json(out / TUNE, dict(facts))


def _differing(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What makes it another tuning, by name. How it trains is the trainer's to compare, and seeds may be added,
    not taken away; the first stays what it was."""
    before, after = (
        {"model": facts["model"], "first seed": facts["train"]["seed"], **facts["task"], **facts["data"]}
        for facts in (was, now)
    )
    if now["seeds"] < was["seeds"]:  # the best of all is in the folder, and would be that of fewer
        before["seeds"], after["seeds"] = was["seeds"], now["seeds"]
    names = sorted(before.keys() | after.keys())
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def clear(out: Path) -> None:
    """Remove what an earlier tuning wrote here, and nothing else. DamagedFile where the checkpoints cannot be."""
    for name in (TASK, HEAD, CONFIG, WEIGHTS, *KEPT, *TOKENIZER):  # some of them are patterns
        for path in out.glob(name):
            path.unlink()
    for folder in sorted(out.glob("seed-*")):
        parent = folder / checkpoints.FOLDER
        if parent.is_dir():
            sweep(parent)
            for step in [*checkpoints.steps(parent), *parent.glob("refused-step-*")]:
                checkpoints.remove(step)
        (folder / log.NAME).unlink(missing_ok=True)
    if not (out / TUNE).is_file():
        raise DamagedFile(f"{out / TUNE} is gone: is another process writing to {out}?")
    (out / TUNE).unlink()
