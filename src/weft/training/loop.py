"""The training loop: a page to read, and to fork where a run needs its own."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, SupportsFloat

import torch
from torch import Tensor
from torch.compiler import set_stance
from torch.nn import Module

from weft.batch import Dataset, Item
from weft.training.compiled import compiled
from weft.training.decisions import Decisions, forced
from weft.training.finished import exhausted
from weft.training.flops import memory, peak
from weft.training.generators import kept
from weft.training.interrupt import Interrupt
from weft.training.lock import held
from weft.training.log import NAME, Log
from weft.training.modes import frozen
from weft.training.objective import Objective
from weft.training.precision import Precision, autocast
from weft.training.probe import count_steps_of, rehearse
from weft.training.reader import Reader
from weft.training.recompute import recomputed
from weft.training.run import Evaluate, Progress, Run
from weft.training.schedule import rate_factor
from weft.training.settings import TrainSettings
from weft.training.step import all_samples, update
from weft.training.strangers import Once, as_dataset, as_objective, check_given
from weft.training.watch import Record, Watcher
from weft.training.world import join

SILENT = Watcher()


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    progress: Progress
    steps: int  # of the whole run
    figures: dict[str, float | None]  # the evaluator's, of the finished weights; none where the run was stopped
    decisions: Decisions
    checkpoint: Path | None  # the last one written, or resumed from
    interrupted: bool  # stopped by request before its last step
    notices: tuple[str, ...]

    @property
    def precision(self) -> Precision:
        """In which the products ran."""
        return self.decisions.precision


def train(
    module: Module,
    data: Dataset[Item] | Sequence[Any] | Iterable[Any],
    objective: Objective | Callable[[Module, Any], Tensor],
    settings: TrainSettings,
    out: Path | str | None = None,
    *,
    evaluate: Evaluate | None = None,
    resume: bool = False,
    watch: Watcher = SILENT,
    decisions: Mapping[str, str] | None = None,
) -> Result:
    """Train `module` in place, on the device where it lies; under torchrun, as one of its processes, all of which call
    this alike and see the same `out` (with parallel="fsdp" the module's parameters end as shares of themselves).

    data: a data set of weft's, anything with a length and numbered samples, or an iterable (read once, in its order, on
    one process: such a run cannot be resumed). objective: one of weft's, or a function (module, collated samples) ->
    one loss per row, [B]. `out` receives log.jsonl and checkpoints/, of one run at a time; None keeps nothing. `resume`
    goes on from the newest good checkpoint in it, to the same bits as if there had been no stop, and starts at the
    beginning where there is none.
    `evaluate` is called in evaluation mode, without gradients, on every process; the main one's figures count.
    `decisions` are those the caller has taken (which kernels run); they are recorded, and must be the same on resume.
    Afterwards the parts of the module have the modes, and torch's generators the states, in which they were found.
    ValueError (Diverged, SaveFailed among them) names what went wrong.
    """
    check_given(module, settings)
    if settings.best and evaluate is None:
        raise ValueError(f"best={settings.best!r} is a figure of the evaluator's, and there is none: give evaluate")
    world, out, dataset = join(), None if out is None else Path(out), as_dataset(data)
    watch = watch if world.main else SILENT
    given, decided = as_objective(objective), decisions or forced(module, settings)
    device = next(module.parameters(), torch.empty(0)).device
    with held(out, world), kept(device), frozen(module, settings.frozen):
        run = Run(module, given, settings, out, watch, resume=resume, decisions=decided, world=world)
        run.reads(dataset)
        with run.modes.borrowed():
            return trained(run, dataset, evaluate)


def trained(run: Run, dataset: Dataset[Item], evaluate: Evaluate | None) -> Result:
    """The run, from where it stands to its end, or until somebody asks it to stop."""
    module, settings, world, watch, progress = run.module, run.settings, run.world, run.watch, run.progress
    reader = Reader(dataset, settings, world, run.device, progress.position)
    with reader, run.saver, recomputed(module, settings.recompute), compiled(module, run.decisions.compile):
        if run.decisions.compile:
            rehearse(run, reader)
        run.lasts(run.steps or count_steps_of(run, dataset, reader))
        path = run.out / NAME if run.out and world.main else None
        opened = world.agreed(partial(Log, path, progress.step, progress.evaluated))
        with opened as log, watch, Interrupt() as interrupt:
            highest = peak(run.precision) * world.size
            run.alone(lambda: watch.begin(run.steps, progress.step, run.headline(), highest))
            progress = evaluated(run, evaluate, progress, log)  # a resumed run may owe one: its evaluator failed
            while not ended(run, progress) and not world.any(interrupt.asked):
                progress, record = step(run, reader, progress)
                run.alone(partial(told, run, log, record))
                progress = evaluated(run, evaluate, progress, log)
                if due(progress.step, settings.checkpoint_every) or progress.best_step == progress.step:
                    run.save(progress, log)
            run.save(progress, log)  # the last step, or that after which a stop was asked for
            world.agreed(run.saver.wait)
            figures = progress.evaluation
            if interrupted := not ended(run, progress):
                figures = {}  # those are of weights before these, or of averages
                run.notice(f"stopped after step {progress.step} of {run.steps}; {way_on(run.out, dataset)}")
            elif world.agreed(partial(run.settle, progress)) and evaluate:
                figures = evaluation(run, evaluate)
    checkpoint = world.first(run.checkpoint)
    return Result(progress, run.steps, figures, run.decisions, checkpoint, interrupted, tuple(run.notices))


def ended(run: Run, progress: Progress) -> bool:
    """Whether the run has had its steps, or nothing has become better for as long as it was to wait."""
    return progress.step >= run.steps or exhausted(run.settings, progress.evaluated, progress.best_step)


def rows(run: Run, reader: Reader) -> list[Item]:
    """The next step's rows; what has failed on this process meanwhile is raised here, where all agree."""
    run.check()
    return reader.next()


def told(run: Run, log: Log, record: Record) -> None:
    """A step is logged, where that is due, and shown."""
    if record.step == run.steps or due(record.step, run.settings.log_every):
        log.write(asdict(record))
    run.watch.step(record)


def step(run: Run, reader: Reader, before: Progress) -> tuple[Progress, Record]:
    """One optimiser step: read its rows, set the rate, update, count."""
    began = time.perf_counter()
    batches = run.world.agreed(partial(rows, run, reader))
    factor = rate_factor(before.step, run.steps, run.settings)
    run.optimiser.set_rate(factor)
    with run.meter.counting(run.optimiser):
        taken = update(run, batches, before.step)
    updates = before.updates + (taken.loss is not None)
    if run.average is not None and taken.loss is not None:
        run.average.update(updates)
    seconds = time.perf_counter() - began
    tokens, operations = run.world.sum([sum(batch.size for batch in batches), run.meter.counted])
    run.meter.learn(operations, tokens)
    progress = replace(
        before,
        step=before.step + 1,
        position=before.position + run.settings.batch,
        tokens=before.tokens + int(tokens),
        seconds=before.seconds + seconds,
        updates=updates,
        loss=before.loss if taken.loss is None else taken.loss,
    )
    if taken.loss is None:
        without = all_samples(run, batches)
        run.notice(f"step {progress.step} is skipped: not one label counts in {without}; look at those")
    return progress, Record(
        step=progress.step,
        loss=taken.loss,
        terms=taken.terms,
        rate=run.settings.rate * factor,
        norm=taken.norm,
        tokens=progress.tokens,
        seconds=round(progress.seconds, 3),
        tokens_per_second=round(tokens / seconds, 1),
        gflops=run.meter.gflops(tokens / seconds),
        memory=memory(run.device),
        unit=batches[0].unit,
    )


def evaluated(run: Run, evaluate: Evaluate | None, before: Progress, log: Log) -> Progress:
    """Evaluate where it is due after this step and has not been done. An evaluator that fails costs no step."""
    step = before.step
    if (
        evaluate is None
        or step == before.evaluated
        or not (step == run.steps or due(step, run.settings.evaluate_every))
    ):
        return before
    with run.saved_on_error(before, log):
        progress = run.judged(replace(before, evaluated=step, evaluation=evaluation(run, evaluate)))

    def tell() -> None:
        log.write({"step": step, "evaluation": progress.evaluation})
        run.watch.evaluated(step, progress.evaluation)

    run.alone(tell)
    return progress


def evaluation(run: Run, evaluate: Evaluate) -> dict[str, float | None]:
    """The evaluator's figures, in evaluation mode; one that is not finite becomes None. Products run in the run's
    precision, bf16 under autocast where that was chosen, unless the evaluator leaves it (as a tuning's does, whose
    metric is then that of the saved fp32 weights)."""
    run.module.eval()
    # compiled for training alone: other shapes and modes would be compiled anew
    # generators are kept: whatever an evaluator draws, and however often it is asked, changes no step
    eager, drawing = set_stance("force_eager"), kept(run.device)
    with torch.no_grad(), autocast(run.precision, run.device), run.evaluating(), eager, drawing:
        values = run.world.first(run.world.agreed(partial(evaluate, run.module)))
    run.modes.train()
    if not isinstance(values, Mapping):
        raise ValueError(f"the evaluator gave {values!r}; it must give figures by name, such as {{'loss': 1.0}}")
    return {name: figure(name, value) for name, value in values.items()}


def figure(name: str, value: Any) -> float | None:
    """One of the evaluator's figures; None where it is not finite. ValueError where it is no number."""
    if (
        isinstance(value, str)
        or not isinstance(value, SupportsFloat)
        or (isinstance(value, Tensor) and value.numel() != 1)
    ):
        given = f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise ValueError(f"the evaluator gave {given} as {name!r}; it must give a number")
    return number if math.isfinite(number := float(value)) else None


def due(step: int, every: int) -> bool:
    """Whether something done `every` steps (0 = never) is done after `step`."""
    return every > 0 and step % every == 0


def way_on(out: Path | None, dataset: Dataset[Item]) -> str:
    """How to go on after a stop."""
    if out is None:
        return "nothing was kept: the run has no folder"
    if isinstance(dataset, Once):
        return f"its weights are kept in {out}, and it cannot go on: an iterable is not read again"
    return f"the same command with --resume goes on from {out}"
