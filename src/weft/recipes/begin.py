"""What comes before a run's first step: its data, its folder, its module, and what is decided by measuring."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from weft.batch import Tokenizer
from weft.data import Prepared, prepare
from weft.evaluate import check
from weft.files import DamagedFile, sweep
from weft.hub import WEIGHTS, read_module, read_tokenizer
from weft.models import FAMILIES, Blueprint
from weft.nn import measure
from weft.objectives import OBJECTIVES, Objective
from weft.recipes.find import reads_pairs
from weft.recipes.folder import TOKENS, Existing, check_same, existing, start
from weft.recipes.recipe import Recipe
from weft.training import checkpoints, precision
from weft.training.watch import Watcher
from weft.training.world import join, place


@dataclass(frozen=True)
class Begun:
    """All that a run needs to train. decided: which attention kernel each field runs."""

    blueprint: Blueprint
    module: nn.Module
    prepared: Prepared
    decided: dict[str, str]


def begin(recipe: Recipe, out: Path, *, resume: bool, overwrite: bool, watch: Watcher) -> Begun:
    """The data, prepared, the module, built, and the run's folder, in which it is described and its tokens are kept.

    ValueError names whatever is wrong, in the data, or between them and a run that is resumed. What may fail comes
    first, so that a run which cannot be leaves nothing behind.
    """
    pairs = reads_pairs(recipe.model)  # sizes that cannot be a model are refused before any data is read
    family = FAMILIES.get(recipe.model.family)
    if recipe.data.rows != "stream" and not family.packs:
        raise ValueError(f"family {family.name!r} cannot pack several documents into a row: set data.rows=stream")
    if resume or overwrite:
        sweep(out)
    found = existing(out) if resume else None
    prepared = prepare(
        recipe.data,
        recipe.model.config.context,
        pairs=pairs,
        tokenizer=_tokenizer(recipe, found),
        kept=None if found is None else out / TOKENS,
        scratch=out,
        say=watch.notice,
    )
    try:
        for text in prepared.notices:
            watch.notice(text)
        check(prepared.held_out, objective_of(recipe))
        blueprint = recipe.fitted(prepared.tokenizer.vocab)
        if found is not None:
            check_same(out, found, blueprint, recipe.data, prepared.digest)
        module = _built(recipe, blueprint)
        decided = _decided(recipe, module, out, resume=resume)
        if found is None:
            start(out, recipe, blueprint, prepared, overwrite)
        return Begun(blueprint, module, prepared.keep(out / TOKENS), decided)
    except BaseException:
        prepared.close()
        raise


def follow(recipe: Recipe, out: Path) -> Begun:
    """What the main process has begun, as another process opens it; what was decided is the main one's to say."""
    found = existing(out)
    if found is None:
        raise DamagedFile(f"{out} was not laid out by the main process: do all processes see the same folder?")
    prepared = prepare(
        recipe.data,
        recipe.model.config.context,
        pairs=reads_pairs(recipe.model),
        tokenizer=found.tokenizer,
        kept=out / TOKENS,
    )
    blueprint = recipe.fitted(prepared.tokenizer.vocab)
    return Begun(blueprint, _built(recipe, blueprint), prepared, {})


def objective_of(recipe: Recipe) -> Objective:
    """What the recipe's family minimises."""
    return OBJECTIVES.get(FAMILIES.get(recipe.model.family).objective)()


def _built(recipe: Recipe, blueprint: Blueprint) -> nn.Module:
    """New weights, or those of the model the run begins with; on the device the run is asked for."""
    if recipe.begin is None:
        module = blueprint.build(seed=recipe.train.seed)
    else:
        module = read_module(blueprint, recipe.begin / WEIGHTS)
    return module.to(place(recipe.train.device))


def _decided(recipe: Recipe, module: nn.Module, out: Path, *, resume: bool) -> dict[str, str]:
    """Which attention kernel each field runs: measured once and replayed on resume; nothing where it is asked for."""
    if recipe.train.kernel != "measured":
        return {}
    earlier = checkpoints.latest(out) if resume and out.is_dir() else None
    if earlier is not None:
        decided = dict(earlier.state["decisions"]["given"])
        measure.replay(module, decided)
        return decided
    rows = max(1, recipe.train.batch // (recipe.train.micro_batches * join().size))  # in a pass of one process
    device = next(module.parameters()).device
    dtype = precision.choose(recipe.train.precision, device).torch_dtype()
    return measure.choose(module, rows, recipe.model.config.context, dtype=dtype)


def _tokenizer(recipe: Recipe, found: Existing | None) -> Tokenizer | None:
    """The one there is already: a resumed run's own, or that of the model the run begins with."""
    if found is not None:
        return found.tokenizer
    if recipe.begin is None:
        return None
    tokenizer = read_tokenizer(recipe.begin)
    if tokenizer is None:
        raise ValueError(f"{recipe.begin} has no tokenizer.json, so its weights say nothing of any text")
    return tokenizer
