"""A run's folder: what is in it, laid out before the first step, recognised on resume, and cleared for another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from weft.data import DataSettings, remove_store, sides
from weft.data.names import Side
from weft.data.signals import PROCESSOR
from weft.data.signals.tasks import task_and_path
from weft.data.tokenizers import CONFIG as MORE
from weft.files import DamagedFile, read_json, sweep, write_json
from weft.hub import Language, read_blueprint, read_language, write_config
from weft.hub.folder import CONFIG, TOKENIZER
from weft.hub.source import KEPT
from weft.hub.weights import WEIGHTS
from weft.models import Blueprint
from weft.objectives import Objective, objective_from_data
from weft.outputs import check_output
from weft.recipes.feed import Feed
from weft.recipes.modality import MODALITIES, modality_of
from weft.recipes.recipe import PARTS, Recipe
from weft.registry import UnknownName
from weft.settings import SettingError, from_data
from weft.training import checkpoints, log
from weft.training.report import PAGE
from weft.training.report.facts import REPORT, RUN, flat
from weft.training.watch.exporters import REPLACED, discard

LOG, CURVE = log.NAME, "loss.png"
TOKENS = "tokens"  # the folder of the token store, where data.store names no other
SPLIT = "split"  # in run.json, see `Feed`
QUANTISER = "quantiser"  # the folder of the model that makes what another goes on with, and turns it back
# run.json is the first to be written and the last to go: where weft's is, the others are weft's own.
WRITTEN = (CONFIG, TOKENIZER, MORE, PROCESSOR, "captions.json", *KEPT, WEIGHTS, LOG, CURVE, REPORT, PAGE, RUN)


@dataclass(frozen=True)
class Existing:
    """What an output folder already says of its run. settings: part by part; digest: of its rows; parts: as in a
    `Recipe`."""

    language: Language
    blueprint: Blueprint
    settings: Mapping[str, Any]
    digest: str
    parts: Mapping[str, str] = field(default_factory=dict)


def check_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """ValueError where a run may not write into `out`; above all where files of the names that it writes are there and
    no run of weft's wrote them."""
    check_output(out, resume=resume, overwrite=overwrite)
    if ours(out):
        return
    if (out / RUN).exists():
        raise ValueError(
            f"{out / RUN} is not what weft writes there, so {out} is not a run's folder, and nothing in it is "
            "replaced: choose another folder, or move that file away"
        )
    strange = [name for name in (*WRITTEN, checkpoints.FOLDER, TOKENS, QUANTISER, *REPLACED) if (out / name).exists()]
    if strange:
        raise ValueError(
            f"{out} holds {', '.join(strange)} and no {RUN}, so it is not a run's folder, and nothing in it is "
            "replaced: choose another folder, or move those away"
        )


def ours(out: Path) -> bool:
    """Whether weft began a run in a folder: run.json holds what weft writes, or is no longer JSON at all and has a
    checkpoint of weft's beside it. Other programs call files run.json too."""
    if not (out / RUN).is_file():
        return False
    try:
        return _describes(read_json(out / RUN))
    except DamagedFile:
        parent = out / checkpoints.FOLDER
        return parent.is_dir() and any(_sealed(folder) for folder in checkpoints.steps(parent))


def _describes(facts: Any) -> bool:
    """Whether it is what `start` writes into run.json."""
    if not isinstance(facts, dict) or not {"recipe", "settings", "data_digest"} <= facts.keys():
        return False
    settings, digest = facts["settings"], facts["data_digest"]
    parts = isinstance(settings, dict) and all(isinstance(settings.get(part), dict) for part in PARTS)
    return parts and isinstance(digest, str)


def _sealed(folder: Path) -> bool:
    """Whether a checkpoint's state, be its tensors damaged or not, was written by weft."""
    try:
        state = read_json(folder / checkpoints.STATE)
    except (DamagedFile, FileNotFoundError):
        return False
    return isinstance(state, dict) and {"progress", "settings", "decisions", "digests", "digest"} <= state.keys()


def existing(out: Path) -> Existing | None:
    """The run of weft's that was begun in a folder; None where there is none. DamagedFile where its description is
    damaged, or lacks a part: a run writes all of it before its first step, and may be killed in between."""
    if not (out / RUN).is_file():
        return None
    facts = read_json(out / RUN)
    if not _describes(facts):
        return None
    keeps = modality_of(_data(facts, out)).keeps
    if missing := [name for name in (CONFIG, *keeps) if not (out / name).is_file()]:
        raise DamagedFile(
            f"{out} holds a {RUN} and no {' and no '.join(missing)}: the run was killed before its first step, or lost "
            "that since. Restore it from a copy, discard the run with --overwrite, or choose another --out"
        )
    return Existing(
        read_language(out), read_blueprint(out), facts["settings"], facts["data_digest"], facts.get("parts", {})
    )


def start(out: Path, recipe: Recipe, feed: Feed, overwrite: bool) -> None:
    """Lay the folder out: what the run is, before its first step, and what its model reads, beside config.json."""
    if overwrite and out.is_dir():
        clear(out)
    describe(out, recipe, feed)
    write_config(feed.blueprint, out)
    feed.write(out)


def describe(out: Path, recipe: Recipe, feed: Feed) -> None:
    """Write run.json: what a run is, with the settings that it runs with, and what its data were."""
    told = {"recipe": recipe.name, "settings": recipe.settings(feed.blueprint), "data_digest": feed.digest}
    parts = {"parts": begun_with(recipe)} if recipe.parts else {}
    write_json(out / RUN, told | ({SPLIT: feed.split} if feed.split else {}) | parts)


def begun_with(recipe: Recipe) -> dict[str, str]:
    """The folders that parts of its model begin with, as run.json has them."""
    return {place: str(folder) for place, folder in sorted(recipe.parts.items())}


def data_settings(folder: Path) -> Any | None:
    """The data settings of the run in a folder; None where no run of weft's describes itself there. ValueError, naming
    the file, where it is damaged or has settings that there are not."""
    facts = _facts(folder)
    return None if facts is None else _data(facts, folder)


@dataclass(frozen=True)
class Own:
    """Data at a path that a run was trained on. settings: its data settings; number: which of their paths it is; split:
    see `Feed`, none of a run that did not write it down."""

    settings: Any
    number: int
    split: tuple[str, ...]

    def still(self, held: np.ndarray, names: Sequence[str], said: Sequence[Side | None] = ()) -> np.ndarray:
        """`held`, bool [N], where the run had the same N things (but for test sets) and held out the same; else none
        of them: what is held out now, it may have been trained on. names, said: of all, said of which sides."""
        used = sides.in_use(said or (None,) * len(names))
        there = [name for name, one in zip(names, used, strict=True) if one]
        return held if sides.digest(there, held[used]) in self.split else np.zeros_like(held)


def own_data(folder: Path, data: Path) -> Own | None:
    """The run's own data that `data` is; None where the run in a folder was trained on no such path. NAME=PATH, a
    task's, is its path."""
    facts = _facts(folder)
    if facts is None:
        return None
    was, here = _data(facts, folder), Path(task_and_path(str(data))[1]).resolve()
    there = [Path(task_and_path(path)[1]).resolve() for path in was.paths]
    return Own(was, there.index(here), tuple(facts.get(SPLIT, ()))) if here in there else None


def text_settings(folder: Path) -> DataSettings | None:
    """The same, where they are of text."""
    found = data_settings(folder)
    return found if isinstance(found, DataSettings) else None


def _facts(folder: Path) -> dict[str, Any] | None:
    """What run.json says; None where no run of weft's describes itself there."""
    path = folder / RUN
    facts = read_json(path) if path.is_file() else None
    return facts if _describes(facts) else None


def _data(facts: Mapping[str, Any], folder: Path) -> Any:
    """The data settings that run.json describes. DamagedFile for what there is not."""
    data = dict(facts["settings"]["data"])
    try:
        return from_data(MODALITIES.get(str(data.pop("modality", None))).settings, data)
    except (SettingError, UnknownName) as error:
        raise DamagedFile(f"{folder / RUN}: {error}") from error


def trained_with(folder: Path) -> Objective | None:
    """What the run in a folder minimised; None where no run of weft's describes itself there. DamagedFile where it
    describes what there is not."""
    path, facts = folder / RUN, _facts(folder)
    if facts is None:
        return None
    try:
        return objective_from_data(facts["settings"]["objective"])
    except ValueError as error:
        raise DamagedFile(f"{path}: {error}") from error


def clear(out: Path) -> None:
    """Remove what an earlier run wrote here, and nothing else."""
    if not ours(out):
        return
    discard(out)
    remove_store(out / TOKENS)
    if (out / QUANTISER).is_dir():
        clear_model(out / QUANTISER)
    parent = out / checkpoints.FOLDER
    if parent.is_dir():
        sweep(parent)
        for folder in [*checkpoints.steps(parent), *parent.glob("refused-step-*")]:
            checkpoints.remove(folder)
    for name in WRITTEN:
        (out / name).unlink(missing_ok=True)


def clear_model(folder: Path) -> None:
    """Remove a model that was kept in a folder of its own, and the folder where nothing else is in it."""
    for name in (CONFIG, PROCESSOR, WEIGHTS):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def check_parts(out: Path, found: Existing, recipe: Recipe) -> None:
    """ValueError where a run is resumed with other saved models as its parts: its weights would not be theirs."""
    was, now = dict(found.parts), begun_with(recipe)
    for place in sorted(was.keys() | now.keys()):
        if was.get(place) != now.get(place):
            raise ValueError(
                f"{place} began with {was.get(place, 'new weights')} when {out} was started, and --part says "
                f"{now.get(place, 'nothing')} now, which makes it another run: say it as it was to resume, or choose "
                "another --out"
            )


def check_same(out: Path, found: Existing, settings: Mapping[str, Any], digest: str, kept: Sequence[str]) -> None:
    """A resumed run must be the same run, with the same settings; ValueError names what is not. kept: the data settings
    of which a resumed run has its own (`Modality.fixed`): another value would not be heard."""
    model = {"model": found.blueprint.to_data()}  # as config.json has it, which may have been damaged since

    def fixed(parts: Mapping[str, Any]) -> dict[str, Any]:
        data = {name: parts["data"].get(name) for name in kept}
        return flat({"model": parts["model"], "objective": parts["objective"], "data": data})

    was, now = fixed(dict(found.settings) | model), fixed(settings)
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            raise ValueError(
                f"{name} was {was.get(name)} when {out} was started and is {now.get(name)} now, which makes it another "
                "run: set it as it was to resume, or choose another --out"
            )
    if found.digest != digest:
        raise ValueError(
            f"the data are not those {out} was started with (digest {found.digest[:12]}…, now {digest[:12]}…): "
            "give the same files and data settings, or choose another --out"
        )
