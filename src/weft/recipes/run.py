"""A recipe, run: data, model, kernels, training, and the card at the end."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from torch import nn

from weft.batch import Tokenizer
from weft.data import Blocks, Packed, Pairs, Prepared, prepare
from weft.evaluate import bits_per_byte, check, likelihood, ngram_nats, xz_bits_per_byte
from weft.files import sweep, write_json
from weft.generate import Sampling
from weft.hub import WEIGHTS, load, read_module, read_tokenizer, write_model
from weft.models import FAMILIES, Blueprint
from weft.nn import kernels, measure
from weft.objectives import OBJECTIVES
from weft.outputs import locked
from weft.recipes.account import Sample, account, plain, write_samples
from weft.recipes.find import reads_pairs
from weft.recipes.folder import CURVE, LOG, REPORT, TOKENS, Existing, check_folder, check_same, existing, start
from weft.recipes.recipe import Recipe
from weft.training import checkpoints, precision
from weft.training.curve import draw, evaluations
from weft.training.loop import Result, train
from weft.training.report import PAGE, write_report
from weft.training.watch import Watcher
from weft.training.world import place


@dataclass(frozen=True)
class Report:
    """What a run came to: held-out figures, baselines in bits per byte, and where everything is."""

    out: Path
    figures: dict[str, float]
    baselines: dict[str, float]
    samples: tuple[Sample, ...]  # after the recipe's prompts, or held-out openings; none after a stop
    seconds: float  # of training steps
    steps: int
    tokens: int
    interrupted: bool
    curve: Path | None
    page: Path  # the report
    notices: tuple[str, ...] = field(default=())


def run(recipe: Recipe, out: Path, *, resume: bool, overwrite: bool, watch: Watcher) -> Report:
    """Train what the recipe says into the folder `out`. ValueError names whatever is wrong, before anything is lost."""
    check_folder(out, resume=resume, overwrite=overwrite)
    recipe.train.check()
    with locked(out):
        return _run(recipe, out, resume=resume, overwrite=overwrite, watch=watch)


def _run(recipe: Recipe, out: Path, *, resume: bool, overwrite: bool, watch: Watcher) -> Report:
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
    with contextlib.closing(prepared):
        return _trained(recipe, out, prepared, found, resume=resume, overwrite=overwrite, watch=watch)


def _trained(
    recipe: Recipe,
    out: Path,
    prepared: Prepared,
    found: Existing | None,
    *,
    resume: bool,
    overwrite: bool,
    watch: Watcher,
) -> Report:
    for text in prepared.notices:
        watch.notice(text)
    blueprint = recipe.fitted(prepared.tokenizer.vocab)
    objective = OBJECTIVES.get(FAMILIES.get(recipe.model.family).objective)()
    check(prepared.valid, objective)
    if found is not None:
        check_same(out, found, blueprint, recipe.data, prepared.digest)
    module = _module(recipe, blueprint)
    decisions = _decide(recipe, module, out, resume)
    if found is None:
        start(out, recipe, blueprint, prepared, overwrite)
    prepared = prepared.keep(out / TOKENS)
    score = partial(likelihood, dataset=prepared.valid, objective=objective, bytes=prepared.valid_bytes)
    result = train(
        module,
        prepared.train,
        objective,
        recipe.train,
        out,
        evaluate=lambda trained: score(trained).figures(),
        resume=resume,
        watch=watch,
        decisions=decisions,
    )
    if not result.interrupted:
        write_model(module, blueprint, prepared.tokenizer, out)
    return _report(recipe, blueprint, prepared, result, out, watch)


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


def _module(recipe: Recipe, blueprint: Blueprint) -> nn.Module:
    """New weights, or those of the model the run begins with; on the device the run is asked for."""
    if recipe.begin is None:
        module = blueprint.build(seed=recipe.train.seed)
    else:
        module = read_module(blueprint, recipe.begin / WEIGHTS)
    return module.to(place(recipe.train.device))


def _decide(recipe: Recipe, module: nn.Module, out: Path, resume: bool) -> dict[str, str]:
    """Which attention kernel each field runs: forced, or measured once and replayed on resume."""
    if recipe.train.kernel != "measured":
        return dict.fromkeys(kernels.use(module, recipe.train.kernel), recipe.train.kernel)
    earlier = checkpoints.latest(out) if resume and out.is_dir() else None
    if earlier is not None:
        decided = dict(earlier.state["decisions"]["given"])
        measure.replay(module, decided)
        return decided
    rows = max(1, recipe.train.batch // recipe.train.micro_batches)
    device = next(module.parameters()).device
    dtype = precision.choose(recipe.train.precision, device).torch_dtype()
    return measure.choose(module, rows, recipe.model.config.context, dtype=dtype)


def _report(
    recipe: Recipe, blueprint: Blueprint, prepared: Prepared, result: Result, out: Path, watch: Watcher
) -> Report:
    figures = {name: value for name, value in result.figures.items() if value is not None}
    curve = None
    try:
        draw(out / LOG, out / CURVE, title=recipe.name, validation=evaluations(out / LOG, "nats_per_token"))
        curve = out / CURVE
    except ValueError as error:
        watch.notice(str(error))
    baselines = _baselines(recipe, prepared, watch) if recipe.baselines and not result.interrupted else {}
    report = Report(
        out=out,
        figures=figures,
        baselines=baselines,
        samples=() if result.interrupted else _samples(recipe, prepared, out),
        seconds=result.progress.seconds,
        steps=result.progress.step,
        tokens=result.progress.tokens,
        interrupted=result.interrupted,
        curve=curve,
        page=out / PAGE,
        notices=result.notices,
    )
    facts = {"figures": figures, "baselines": baselines, "samples": plain(report.samples)}
    write_json(out / REPORT, facts | account(recipe, blueprint, prepared, result))
    write_report(out)
    return report


def _samples(recipe: Recipe, prepared: Prepared, out: Path) -> tuple[Sample, ...]:
    """What the finished model, as it was saved, goes on with."""
    prompts = recipe.prompts or openings(prepared)
    return write_samples(load(out), prompts, Sampling(recipe.temperature), tokens=recipe.sample_tokens)


def openings(prepared: Prepared, count: int = 3) -> tuple[str, ...]:
    """A few lines of held-out text (sources, where the data are pairs), spread over it."""
    if isinstance(prepared.valid, Pairs):
        lines = [source for source, _ in prepared.valid.pairs]
    else:
        lines = [line for line in prepared.valid_text.decode().split("\n") if line.strip()]
    chosen = [lines[len(lines) * part // count] for part in range(min(count, len(lines)))]
    return tuple(line[:60] for line in chosen)


def _baselines(recipe: Recipe, prepared: Prepared, watch: Watcher) -> dict[str, float]:
    """Held-out bits per byte of an interpolated 5-gram over the same tokens, and of `xz -9` on the same bytes."""
    watch.notice("scoring the baselines on the same held-out text …")
    found = {"xz -9": xz_bits_per_byte(prepared.valid_text)}
    if isinstance(prepared.train, Blocks | Packed) and isinstance(prepared.valid, Blocks | Packed):
        nats = ngram_nats(prepared.train.tokens, prepared.valid.tokens, prepared.tokenizer.vocab)
        found = {"interpolated 5-gram": bits_per_byte(nats, prepared.valid_bytes)} | found
    return found
