"""What comes before a run's first step: its data, its folder, its module, and what is decided by measuring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from weft.batch import Tokenizer
from weft.data import LibraryTokenizer, Prepared, named_tokenizer, open_store, prepare, trained_before
from weft.evaluate import check, no_bytes
from weft.files import DamagedFile, sweep
from weft.hub import Language, Stops, as_ours, load, read_language, read_weights
from weft.models import Blueprint
from weft.nn import Encoder
from weft.objectives import bare
from weft.recipes.folder import TOKENS, check_same, data_settings, existing, start
from weft.recipes.recipe import Recipe
from weft.recipes.translations import check_metrics
from weft.training import checkpoints, measure, precision
from weft.training.settings import TrainSettings
from weft.training.watch import Watcher
from weft.training.world import join, place


@dataclass(frozen=True)
class Begun:
    """All that a run needs to train. decided: which attention kernel each field runs; notices: what a person should
    know of all of it."""

    blueprint: Blueprint
    module: nn.Module
    prepared: Prepared
    decided: dict[str, str]
    notices: tuple[str, ...] = ()


def begin(recipe: Recipe, out: Path, *, resume: bool, overwrite: bool, watch: Watcher) -> Begun:
    """The data, prepared, the module, built, and the run's folder, in which it is described and its tokens are kept.

    ValueError names whatever is wrong, in the data, or between them and a run that is resumed. What may fail comes
    first, so that a run which cannot be leaves nothing behind.
    """
    pairs = check_model(recipe)  # sizes that cannot be a model are refused before any data is read
    if resume or overwrite:
        sweep(out)
    found = existing(out) if resume else None
    language = own_language(recipe) if found is None else found.language
    prepared = prepare(
        recipe.data,
        recipe.length,
        pairs=pairs,
        tokenizer=language.tokenizer,
        begins=language.begins,
        kept=None if found is None else out / TOKENS,
        scratch=out,
        say=watch.notice,
    )
    try:
        notices = (*prepared.notices, *_told(recipe, prepared))
        for text in notices:
            watch.notice(text)
        objective = recipe.minimised
        check(objective.turn(prepared.held_out, prepared.tokenizer, 0), objective)
        blueprint = recipe.fitted(objective.ids(prepared.tokenizer))
        if found is not None:
            check_same(out, found, recipe.settings(blueprint), prepared.digest)
        module = _built(recipe, blueprint)
        decided = kernels(recipe.train, module, recipe.model.config.context, out, resume=resume)
        if found is None:
            start(out, recipe, blueprint, prepared, language, overwrite)
        return Begun(blueprint, module, prepared.keep(out / TOKENS), decided, notices)
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
        recipe.length,
        pairs=recipe.minimised.pairs,
        tokenizer=found.language.tokenizer,
        begins=found.language.begins,
        kept=out / TOKENS,
    )
    blueprint = recipe.fitted(recipe.minimised.ids(prepared.tokenizer))
    return Begun(blueprint, _built(recipe, blueprint), prepared, {})


def check_model(recipe: Recipe) -> bool:
    """Whether the data are pairs. ValueError for sizes that cannot be a model, for one that the objective cannot be
    asked of, and for rows its family cannot read."""
    recipe.minimised.check(recipe.model.empty())
    if recipe.metrics and not recipe.minimised.pairs:
        raise ValueError(
            f"the metric {recipe.metrics[0]!r} is of what is written of a source; {recipe.minimised.title} has none: "
            "leave --metric out"
        )
    check_metrics(recipe.metrics)
    if recipe.data.rows != "stream" and (mixes := recipe.model.mixes):
        raise ValueError(f"{mixes} cannot pack several documents into a row: set data.rows=stream")
    return recipe.minimised.pairs


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


def own_language(recipe: Recipe) -> Language:
    """What the model that the run begins with says of text; of a new one, the tokenizer that there is already."""
    if recipe.begin is None:
        return Language(_own_tokenizer(recipe), Stops(), {}, {})
    language = read_language(recipe.begin)
    if language.tokenizer is None:
        raise ValueError(f"{recipe.begin} has no tokenizer.json, so its weights say nothing of any text")
    return language


def _own_tokenizer(recipe: Recipe) -> Tokenizer | None:
    """The one in the folder that data.tokenizer names; None where it names a kind, one of which is to be trained."""
    tokenizer = named_tokenizer(recipe.data.tokenizer, "data.tokenizer=")
    if not isinstance(tokenizer, LibraryTokenizer) or tokenizer.template is None:
        return tokenizer
    if tokenizer.begin == tokenizer.end or isinstance(recipe.model.empty(), Encoder):
        return as_ours(recipe.model, tokenizer)  # a new model reads and is prompted with what it is trained on
    return tokenizer


def _told(recipe: Recipe, prepared: Prepared) -> Iterator[str]:
    """What a person should know of figures to come, and of what is not saved."""
    asked, own = recipe.minimised.heads, recipe.model.empty()
    if isinstance(own, Encoder) and (beside := [head for head in asked if head not in own.heads]):
        yield (
            f"{recipe.model.family} has no head {' and no head '.join(beside)}: trained beside the model, it stays in "
            "the run's checkpoints and is no part of the saved model"
        )
    if why := no_bytes(prepared.tokenizer, recipe.minimised):
        yield why
    if recipe.begin is None or (parent := data_settings(recipe.begin)) is None:
        return
    now, kept = recipe.data, Path(parent.store) if parent.store else recipe.begin / TOKENS
    if prepared.store is not None and kept.is_dir() and (known := trained_before(prepared.store, open_store(kept))):
        yield (
            f"{known} of the {prepared.documents[1]} held-out documents are texts that {recipe.begin} was trained on, "
            "so the held-out figures flatter it: hold out texts that it has not seen"
        )
    for name, before, after in (("seed", parent.seed, now.seed), ("held_out", parent.held_out, now.held_out)):
        if before != after:
            yield (
                f"data.{name} was {before} when {recipe.begin} was trained and is {after} now, which holds out other "
                f"texts: where the texts are the same, it may be evaluated on what it was trained on; leave it out "
                "to hold out the same"
            )
