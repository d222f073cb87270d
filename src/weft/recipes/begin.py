"""What comes before a run's first step: its data, its folder, its module, and what is decided by measuring."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from weft.data.sources import quiet
from weft.files import DamagedFile, sweep
from weft.hub import load, read_weights
from weft.models import Blueprint
from weft.objectives import bare
from weft.recipes.feed import Anew, Feed
from weft.recipes.folder import check_parts, check_same, existing, start
from weft.recipes.modality import modality_of
from weft.recipes.parts import graft
from weft.recipes.recipe import Recipe
from weft.recipes.translations import check_metrics
from weft.training import checkpoints, measure, modes, precision
from weft.training.settings import TrainSettings
from weft.training.watch import Watcher
from weft.training.world import join, place


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
    if found is not None:
        check_parts(out, found, recipe)
    modality = modality_of(recipe.data)
    feed = modality.feed(recipe, found, out, watch.notice)
    try:
        if found is not None:
            check_same(out, found, recipe.settings(feed.blueprint), feed.digest, modality.fixed)
        module = built(recipe, feed)
        decided = kernels(recipe.train, module, feed.longest or recipe.model.config.context, out, resume=resume)
        if found is None:
            start(out, recipe, feed, overwrite)
        return Begun(feed.blueprint, module, feed.keep(out), decided, feed.notices)
    except BaseException:
        feed.close()
        raise


def follow(recipe: Recipe, out: Path) -> Begun:
    """What the main process has begun, as another process opens it; what was decided is the main one's to say."""
    found = existing(out)
    if found is None:
        raise DamagedFile(f"{out} was not laid out by the main process: do all processes see the same folder?")
    feed = modality_of(recipe.data).feed(recipe, found, out, quiet)
    return Begun(feed.blueprint, built(recipe, feed), feed, {})


def check_model(recipe: Recipe) -> None:
    """ValueError for sizes that cannot be a model, for one that the objective cannot be asked of, and for data that
    its family cannot read."""
    module = recipe.model.empty()
    recipe.minimised.check(module)
    modes.parts(module, recipe.train.frozen)
    if recipe.metrics and not recipe.minimised.pairs:
        raise ValueError(
            f"the metric {recipe.metrics[0]!r} is of what is written of a source; {recipe.minimised.title} has none: "
            "leave --metric out"
        )
    check_metrics(recipe.metrics)
    modality_of(recipe.data).check(recipe)


def built(recipe: Recipe, feed: Feed) -> nn.Module:
    """New weights, as the data let them begin, or those of the model the run begins with, and what the objective needs
    around them; on the device the run is asked for."""
    begin, seed, blueprint = recipe.begin, recipe.train.seed, feed.blueprint
    if begin is None:
        module = blueprint.build(seed=seed)
        feed.start(module)
        graft(module, recipe.parts)
    elif feed.anew is not None:
        module = _grafted(begin, blueprint, seed, feed.anew)
    else:
        module = read_weights(begin, blueprint)
    return recipe.minimised.wrap(module, blueprint, seed, opened).to(place(recipe.train.device))


def _grafted(begin: Path, blueprint: Blueprint, seed: int, anew: Anew) -> nn.Module:
    """A new module with the weights of a saved model, but for parts that begin anew. LoadError: see `read_weights`."""
    module, saved = blueprint.build(seed=seed), read_weights(begin, anew.before)
    kept = {name: tensor for name, tensor in saved.state_dict().items() if not name.startswith(anew.parts)}
    module.load_state_dict(module.state_dict() | kept)
    return module


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
