"""A recipe, run: data, model, kernels, training, and the card at the end."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from weft.data import Blocks, Packed, Pairs, Prepared, asked_by
from weft.evaluate import (
    Score,
    bits_per_byte,
    constant_nats,
    counted_bytes,
    likelihood,
    ngram_nats,
    no_bytes,
    xz_bits_per_byte,
)
from weft.files import write_json
from weft.generate import Sampling
from weft.hub import load, write_model
from weft.nn import Writer
from weft.objectives import bare, kept
from weft.outputs import locked
from weft.recipes.account import Sample, account, plain, write_samples
from weft.recipes.begin import Begun, begin, follow
from weft.recipes.folder import CURVE, LOG, check_folder, describe
from weft.recipes.recipe import Recipe
from weft.recipes.translations import scored
from weft.training import measure
from weft.training.checkpoints import whole_tensors
from weft.training.curve import draw, evaluations
from weft.training.loop import Result, train
from weft.training.modes import modes, put
from weft.training.report import PAGE, write_report
from weft.training.report.facts import REPORT
from weft.training.watch import Several, Watcher
from weft.training.world import World, join


@dataclass(frozen=True)
class Report:
    """What a run came to: held-out figures, baselines in bits per byte, and where everything is."""

    out: Path
    figures: dict[str, float]
    baselines: dict[str, float]
    samples: tuple[Sample, ...]  # after the recipe's prompts, or held-out openings; none after a stop, or of a reader
    seconds: float  # of training steps
    steps: int
    tokens: int
    interrupted: bool
    curve: Path | None
    page: Path  # the report
    metrics: dict[str, Score] = field(default_factory=dict)  # of the translations of the held-out sources
    constant: float | None = None  # nats a token of the best constant predictor
    no_bytes: str = ""  # why there are no bits per byte
    writes: bool = True  # it goes on with a text; False: it reads whole rows
    notices: tuple[str, ...] = field(default=())


def run(recipe: Recipe, out: Path, *, resume: bool, overwrite: bool, watch: Watcher) -> Report | None:
    """Train what the recipe says into the folder `out`. ValueError names whatever is wrong, before anything is lost.

    Under torchrun every process calls this alike, and the main one alone prepares, writes and reports; None elsewhere.
    """
    world = join()
    with contextlib.ExitStack() as held:

        def lead() -> Begun | None:
            if not world.main:
                return None
            check_folder(out, resume=resume, overwrite=overwrite)
            recipe.train.check()
            held.enter_context(locked(out))
            return begin(recipe, out, resume=resume, overwrite=overwrite, watch=watch)

        led = world.agreed(lead)
        begun = world.agreed(lambda: led or follow(recipe, out))
        held.callback(begun.prepared.close)
        result = _trained(recipe, out, begun, world, resume=resume, watch=watch)
        return _report(recipe, begun, result, out, watch) if world.main else None


def _trained(recipe: Recipe, out: Path, begun: Begun, world: World, *, resume: bool, watch: Watcher) -> Result:
    """The run itself, on every process; the finished model is written by the main one."""
    objective, prepared, decided = recipe.minimised, begun.prepared, world.first(begun.decided)
    measure.replay(bare(begun.module), decided)
    score = partial(
        likelihood,
        dataset=objective.turn(prepared.held_out, prepared.tokenizer, 0),
        objective=objective,
        bytes=counted_bytes(prepared.tokenizer, prepared.held_out_bytes, objective),
        share=(world.rank, world.size),
        total=world.sum,
    )
    result = train(
        begun.module,
        objective.turn(prepared.train, prepared.tokenizer, recipe.train.seed),
        objective,
        recipe.train,
        out,
        evaluate=lambda trained: score(trained).figures(),
        resume=resume,
        watch=Described(watch, recipe, begun, out) if world.main else watch,
        decisions=decided,
    )
    if not result.interrupted:
        tensors = kept(begun.module, whole_tensors(begun.module))
        world.asked(lambda: write_model(tensors, begun.blueprint, prepared.tokenizer, out))
    return result


class Described(Several):
    """Tells a watcher, and keeps run.json what the run is: once it begins, nothing of it is refused any more, and a
    resumed one may have other settings than it was started with."""

    def __init__(self, watch: Watcher, recipe: Recipe, begun: Begun, out: Path) -> None:
        super().__init__([watch])
        self.recipe, self.begun, self.out = recipe, begun, out

    def begin(self, steps: int, done: int, headline: str, peak: float = 0.0) -> None:
        """Written anew."""
        describe(self.out, self.recipe, self.begun.blueprint, self.begun.prepared.digest)
        super().begin(steps, done, headline, peak)


def _report(recipe: Recipe, begun: Begun, result: Result, out: Path, watch: Watcher) -> Report:
    prepared, notices = begun.prepared, (*begun.notices, *result.notices)
    figures = {name: value for name, value in result.figures.items() if value is not None}
    curve = None
    try:
        draw(out / LOG, out / CURVE, title=recipe.name, validation=evaluations(out / LOG, "nats_per_token"))
        curve = out / CURVE
    except ValueError as error:
        watch.notice(str(error))
    why, writes = no_bytes(prepared.tokenizer, recipe.minimised), isinstance(bare(begun.module), Writer)
    baselines = _baselines(prepared, watch) if recipe.baselines and not why and not result.interrupted else {}
    constant = None if result.interrupted else constant_of(recipe, begun)
    metrics = {} if result.interrupted else _scored(recipe, prepared, out, watch)
    report = Report(
        out=out,
        figures=figures,
        baselines=baselines,
        samples=_samples(recipe, prepared, out) if writes and not result.interrupted else (),
        seconds=result.progress.seconds,
        steps=result.progress.step,
        tokens=result.progress.tokens,
        interrupted=result.interrupted,
        curve=curve,
        page=out / PAGE,
        metrics=metrics,
        constant=constant,
        no_bytes=why,
        writes=writes,
        notices=notices,
    )
    told = {name: asdict(score) for name, score in metrics.items()}
    facts = {
        "figures": figures,
        "metrics": told,
        "constant": constant,
        "baselines": baselines,
        "samples": plain(report.samples),
    }
    write_json(out / REPORT, facts | account(recipe, begun.blueprint, prepared, result, notices))
    write_report(out)
    return report


def _scored(recipe: Recipe, prepared: Prepared, out: Path, watch: Watcher) -> dict[str, Score]:
    """The recipe's metrics of what the saved model writes of the held-out sources."""
    if not recipe.metrics or not isinstance(prepared.held_out, Pairs):
        return {}
    return scored(load(out), prepared.held_out, recipe.metrics, asked_by(recipe.data), watch.notice)


def constant_of(recipe: Recipe, begun: Begun) -> float | None:
    """What the best constant predictor pays for the held-out labels, in nats each; None where there is none."""
    objective, prepared, found = recipe.minimised, begun.prepared, modes(begun.module)
    begun.module.eval()
    try:
        held_out = objective.turn(prepared.held_out, prepared.tokenizer, 0)
        return constant_nats(begun.module, held_out, objective)
    finally:
        put(found)


def _samples(recipe: Recipe, prepared: Prepared, out: Path) -> tuple[Sample, ...]:
    """What the finished model, as it was saved, goes on with."""
    prompts = recipe.prompts or openings(prepared)
    return write_samples(load(out), prompts, Sampling(recipe.temperature), tokens=recipe.sample_tokens)


def openings(prepared: Prepared, count: int = 3) -> tuple[str, ...]:
    """A few lines of held-out text (sources, where the data are pairs), spread over it."""
    if isinstance(prepared.held_out, Pairs):
        lines = [source for source, _ in prepared.held_out.pairs]
    else:
        lines = [line for line in prepared.held_out_text.decode().split("\n") if line.strip()]
    chosen = [lines[len(lines) * part // count] for part in range(min(count, len(lines)))]
    return tuple(line[:60] for line in chosen)


def _baselines(prepared: Prepared, watch: Watcher) -> dict[str, float]:
    """Held-out bits per byte of an interpolated 5-gram over the same tokens, and of `xz -9` on the same bytes."""
    watch.notice("scoring the baselines on the same held-out text …")
    found = {"xz -9": xz_bits_per_byte(prepared.held_out_text)}
    if isinstance(prepared.train, Blocks | Packed) and isinstance(prepared.held_out, Blocks | Packed):
        nats = ngram_nats(prepared.train.tokens, prepared.held_out.tokens, prepared.tokenizer.vocab)
        found = {"interpolated 5-gram": bits_per_byte(nats, prepared.held_out_bytes)} | found
    return found
