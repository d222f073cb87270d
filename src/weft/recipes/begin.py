"""What comes before a run's first step: its data, its folder, its module, and what is decided by measuring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from torch import nn

from weft.data import DataSettings
from weft.data.signals import SignalSettings
from weft.data.sources import quiet
from weft.files import DamagedFile, sweep
from weft.hub import load, read_weights
from weft.models import FAMILIES, Blueprint
from weft.objectives import bare
from weft.recipes.feed import Feed
from weft.recipes.folder import Existing, check_same, existing, start
from weft.recipes.recipe import Recipe
from weft.recipes.signal_feed import open_signals
from weft.recipes.text_feed import open_text
from weft.recipes.translations import check_metrics
from weft.training import checkpoints, measure, precision
from weft.training.settings import TrainSettings
from weft.training.watch import Watcher
from weft.training.world import join, place

PICTURE = ("image", "patch", "channels", "classes")  # settings of a model that pictures with classes are read for


@dataclass(frozen=True)
class Begun:
    """All that a run needs to train. decided: which attention kernel each field runs; notices: what a person should
    know of all of it."""

    blueprint: Blueprint
    module: nn.Module
    feed: Feed
    decided: dict[str, str]
    notices: tuple[str, ...] = ()


def begin(recipe: Recipe, out: Path, *, resume: bool, overwrite: bool, watch: Watcher) -> Begun:
    """The data, prepared, the module, built, and the run's folder, in which it is described and its tokens are kept.

    ValueError names whatever is wrong, in the data, or between them and a run that is resumed. What may fail comes
    first, so that a run which cannot be leaves nothing behind.
    """
    check_model(recipe)  # sizes that cannot be a model are refused before any data is read
    if resume or overwrite:
        sweep(out)
    found = existing(out) if resume else None
    feed = opening(recipe, found, out, watch.notice)
    try:
        if found is not None:
            check_same(out, found, recipe.settings(feed.blueprint), feed.digest)
        module = _built(recipe, feed.blueprint)
        decided = kernels(recipe.train, module, recipe.model.config.context, out, resume=resume)
        if found is None:
            start(out, recipe, feed.blueprint, feed.digest, feed.write, overwrite)
        return Begun(feed.blueprint, module, feed.keep(out), decided, feed.notices)
    except BaseException:
        feed.close()
        raise


def opening(recipe: Recipe, found: Existing | None, out: Path, say: Callable[[str], None]) -> Feed:
    """The data of a recipe, opened. found: the run in `out` that goes on; None: a new one."""
    if isinstance(recipe.data, SignalSettings):
        return open_signals(recipe, recipe.data, found, out, say)
    return open_text(recipe, recipe.data, found, out, say)


def follow(recipe: Recipe, out: Path) -> Begun:
    """What the main process has begun, as another process opens it; what was decided is the main one's to say."""
    found = existing(out)
    if found is None:
        raise DamagedFile(f"{out} was not laid out by the main process: do all processes see the same folder?")
    feed = opening(recipe, found, out, quiet)
    return Begun(feed.blueprint, _built(recipe, feed.blueprint), feed, {})


def check_model(recipe: Recipe) -> None:
    """ValueError for a family that no data are read for, for sizes that cannot be a model, for one that the objective
    cannot be asked of, and for rows its family cannot read."""
    check_data(recipe)
    recipe.minimised.check(recipe.model.empty())
    if recipe.metrics and not recipe.minimised.pairs:
        raise ValueError(
            f"the metric {recipe.metrics[0]!r} is of what is written of a source; {recipe.minimised.title} has none: "
            "leave --metric out"
        )
    check_metrics(recipe.metrics)
    rows = recipe.data.rows if isinstance(recipe.data, DataSettings) else "stream"
    if rows != "stream" and (mixes := recipe.model.mixes):
        raise ValueError(f"{mixes} cannot pack several documents into a row: set data.rows=stream")


def check_data(recipe: Recipe) -> None:
    """ValueError for a family whose signals nothing here reads."""
    name, known = recipe.model.family, {field.name for field in fields(recipe.model.config)}
    instead = "train its module from Python (weft.train), or choose a family of text or of pictures (`weft list`)"
    if FAMILIES.get(name).reads == "both":
        raise ValueError(f"{name} reads texts and signals together, and weft train reads one of them: {instead}")
    lacks = [field for field in PICTURE if field not in known]
    if FAMILIES.get(name).reads == "signals" and lacks:
        raise ValueError(
            f"{name} has no {' and no '.join(lacks)}, and of signals weft train reads pictures with classes: {instead}"
        )


def _built(recipe: Recipe, blueprint: Blueprint) -> nn.Module:
    """New weights, or those of the model the run begins with, and what the objective needs around them; on the device
    the run is asked for."""
    begin, seed = recipe.begin, recipe.train.seed
    module = blueprint.build(seed=seed) if begin is None else read_weights(begin, blueprint)
    return recipe.minimised.wrap(module, blueprint, seed, opened).to(place(recipe.train.device))


def opened(name: str) -> nn.Module:
    """The bare module of a saved model, for an objective that learns from another."""
    return load(name).module


def kernels(settings: TrainSettings, module: nn.Module, length: int, out: Path, *, resume: bool) -> dict[str, str]:
    """Which attention kernel each field runs on rows of this length: measured once and replayed on resume; nothing
    where it is asked for."""
    if settings.kernel != "measured":
        return {}
    earlier = checkpoints.latest(out) if resume and out.is_dir() else None
    if earlier is not None:
        decided = dict(earlier.state["decisions"]["given"])
        measure.replay(bare(module), decided)
        return decided
    rows = max(1, settings.batch // (settings.micro_batches * join().size))  # in a pass of one process
    device = next(module.parameters()).device
    dtype = precision.choose(settings.precision, device).torch_dtype()
    return measure.choose(bare(module), rows, length, dtype=dtype)
