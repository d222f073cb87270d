"""A recipe, run: data, model, kernels, training, and the card at the end."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

from weft.evaluate import Score, constant_nats
from weft.files import write_json
from weft.objectives import bare, kept
from weft.outputs import locked
from weft.recipes.account import Sample, account, plain
from weft.recipes.begin import Begun, begin, follow
from weft.recipes.folder import CURVE, LOG, check_folder, describe
from weft.recipes.recipe import Recipe
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
    """What a run came to: held-out figures, baselines, and where everything is. baselines: in what the model is judged
    by, bits per byte of text, else what its loss is. loss: what that is, for people. makes: of a model that makes
    signals, what may stand behind --out; "" where it makes none."""

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
    writes: bool = True  # it goes on with a text; False: it reads whole rows, or makes other things
    loss: str = "nats"
    makes: str = ""
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
        held.callback(begun.feed.close)
        result = _trained(recipe, out, begun, world, resume=resume, watch=watch)
        return _report(recipe, begun, result, out, watch) if world.main else None


def _trained(recipe: Recipe, out: Path, begun: Begun, world: World, *, resume: bool, watch: Watcher) -> Result:
    """The run itself, on every process; the finished model is written by the main one."""
    feed, decided = begun.feed, world.first(begun.decided)
    measure.replay(bare(begun.module), decided)
    result = train(
        begun.module,
        feed.train,
        recipe.minimised,
        recipe.train,
        out,
        evaluate=lambda trained: feed.figures(trained, (world.rank, world.size), world.sum),
        resume=resume,
        watch=Described(watch, recipe, begun, out) if world.main else watch,
        decisions=decided,
    )
    if not result.interrupted:
        tensors = kept(begun.module, whole_tensors(begun.module))
        world.asked(lambda: feed.save(tensors, out))
    return result


class Described(Several):
    """Tells a watcher, and keeps run.json what the run is: once it begins, nothing of it is refused any more, and a
    resumed one may have other settings than it was started with."""

    def __init__(self, watch: Watcher, recipe: Recipe, begun: Begun, out: Path) -> None:
        super().__init__([watch])
        self.recipe, self.begun, self.out = recipe, begun, out

    def begin(self, steps: int, done: int, headline: str, peak: float = 0.0) -> None:
        """Written anew."""
        describe(self.out, self.recipe, self.begun.feed)
        super().begin(steps, done, headline, peak)


def _report(recipe: Recipe, begun: Begun, result: Result, out: Path, watch: Watcher) -> Report:
    feed, notices = begun.feed, (*begun.notices, *result.notices)
    figures = {name: value for name, value in result.figures.items() if value is not None}
    curve = None
    try:
        draw(out / LOG, out / CURVE, title=recipe.name, validation=evaluations(out / LOG, feed.headline))
        curve = out / CURVE
    except ValueError as error:
        watch.notice(str(error))
    constant = None if result.interrupted else constant_of(recipe, begun)
    told = feed.told(recipe, out, watch, finished=not result.interrupted)
    report = Report(
        out=out,
        figures=figures,
        baselines=told.baselines,
        samples=told.samples,
        seconds=result.progress.seconds,
        steps=result.progress.step,
        tokens=result.progress.tokens,
        interrupted=result.interrupted,
        curve=curve,
        page=out / PAGE,
        metrics=told.metrics,
        constant=constant,
        no_bytes=told.no_bytes,
        writes=told.writes,
        loss=told.loss,
        makes=told.makes,
        notices=notices,
    )
    facts = {
        "figures": figures,
        "metrics": {name: asdict(score) for name, score in told.metrics.items()},
        "constant": constant,
        "baselines": told.baselines,
        "samples": plain(report.samples),
    }
    write_json(out / REPORT, facts | account(recipe, begun.blueprint, feed.account(), result, notices))
    write_report(out)
    return report


def constant_of(recipe: Recipe, begun: Begun) -> float | None:
    """What the best constant predictor pays for the held-out labels, in nats each; None where there is none."""
    found = modes(begun.module)
    begun.module.eval()
    try:
        return constant_nats(begun.module, begun.feed.held_out, recipe.minimised)
    finally:
        put(found)
