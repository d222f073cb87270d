"""The training loop: a page to read, and to fork where a run needs its own."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch.nn import Module

from weft.batch import Batch
from weft.data.order import place
from weft.training.interrupt import Interrupt
from weft.training.log import NAME, Log
from weft.training.precision import Precision, autocast
from weft.training.run import Progress, Run
from weft.training.schedule import rate_factor
from weft.training.settings import TrainSettings
from weft.training.step import Dataset, Objective, samples, update
from weft.training.watch import Record, Watcher

Evaluate = Callable[[Module], Mapping[str, float]]
SILENT = Watcher()


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    progress: Progress
    precision: Precision
    checkpoint: Path | None  # the last one written, or resumed from
    interrupted: bool  # stopped by request before its last step
    notices: tuple[str, ...]


def train(
    module: Module,
    dataset: Dataset,
    objective: Objective,
    settings: TrainSettings,
    out: Path | None = None,
    *,
    evaluate: Evaluate | None = None,
    resume: bool = False,
    watch: Watcher = SILENT,
    decisions: Mapping[str, str] | None = None,
) -> Result:
    """Train `module` in place, on the device where it lies.

    `out` receives log.jsonl and checkpoints/; None keeps nothing. `resume` goes on from the newest good checkpoint in
    it, to the same bits as if there had been no stop, and starts at the beginning where there is none. `evaluate` is
    called in evaluation mode, without gradients. `decisions` are those the caller has taken (which kernels run); they
    are recorded, and must be the same on resume. ValueError (Diverged, SaveFailed among them) names what went wrong.
    """
    run = Run(module, settings, out, watch, resume=resume, decisions=decisions or {})
    progress = run.progress
    with Log(out and out / NAME, progress.step) as log, watch, Interrupt() as interrupt:
        watch.begin(settings.steps, progress.step, run.headline())
        module.train()
        while progress.step < settings.steps and not interrupt.asked:
            progress, record = step(run, dataset, objective, progress)
            last = progress.step == settings.steps
            if last or due(progress.step, settings.log_every):
                log.write(asdict(record))
            watch.step(record)
            if evaluate and (last or due(progress.step, settings.evaluate_every)):
                with run.saved_on_error(progress, log):  # an evaluator that fails costs no step
                    progress = replace(progress, evaluation=evaluation(run, evaluate))
                log.write({"step": progress.step, "evaluation": progress.evaluation})
                watch.evaluated(progress.step, progress.evaluation)
            if due(progress.step, settings.checkpoint_every):
                run.save(progress, log)
        run.save(progress, log)  # the last step, or the one after which a stop was asked for; nothing where it is saved
        if interrupted := progress.step < settings.steps:
            run.notice(f"stopped after step {progress.step} of {settings.steps}; {way_on(out)}")
    return Result(progress, run.precision, run.checkpoint, interrupted, tuple(run.notices))


def step(run: Run, dataset: Dataset, objective: Objective, before: Progress) -> tuple[Progress, Record]:
    """One optimiser step: draw rows, set the rate, update."""
    began = time.perf_counter()
    batches = [batch.to(run.device) for batch in draw(dataset, before.position, run.settings)]
    factor = rate_factor(before.step, run.settings)
    run.optimiser.set_rate(factor)
    taken = update(run.module, run.optimiser, objective, batches, run.settings, run.precision, before.step)
    seconds = time.perf_counter() - began
    tokens = sum(map(read_tokens, batches))
    progress = replace(
        before,
        step=before.step + 1,
        position=before.position + run.settings.batch,
        tokens=before.tokens + tokens,
        seconds=before.seconds + seconds,
        loss=before.loss if taken.loss is None else taken.loss,
    )
    if taken.loss is None:
        run.notice(f"step {progress.step} is skipped: not one label counts in {samples(batches)}; look at those")
    return progress, Record(
        step=progress.step,
        loss=taken.loss,
        terms=taken.terms,
        rate=run.settings.rate * factor,
        norm=taken.norm,
        tokens=progress.tokens,
        seconds=round(progress.seconds, 3),
        tokens_per_second=round(tokens / seconds, 1),
    )


def draw(dataset: Dataset, position: int, settings: TrainSettings) -> list[Batch]:
    """The micro-batches of the step that begins at `position`: the next `batch` samples of the order, cut into parts.

    Where an epoch ends inside a part, the part is cut in two, since a sample may look different in another epoch.
    """
    if len(dataset) == 0:
        raise ValueError("the dataset has no samples: its text is shorter than one row; give more or shorten the rows")
    size = settings.batch // settings.micro_batches
    batches = []
    for start in range(position, position + settings.batch, size):
        epochs: dict[int, list[int]] = {}
        for number in range(start, start + size):
            epoch, index = place(number, len(dataset), settings.seed)
            epochs.setdefault(epoch, []).append(index)
        batches += [dataset.batch(epoch, indices) for epoch, indices in epochs.items()]
    return batches


def evaluation(run: Run, evaluate: Evaluate) -> dict[str, float | None]:
    """The evaluator's figures, in evaluation mode and in the run's precision; one that is not finite becomes None."""
    run.module.eval()
    with torch.no_grad(), autocast(run.precision, run.device):
        values = evaluate(run.module)
    run.module.train()
    return {name: float(value) if math.isfinite(value) else None for name, value in values.items()}


def read_tokens(batch: Batch) -> int:
    """Tokens that were read, padding left out, both sides of a pair."""
    here = batch.tokens.numel() if batch.segments is None else int((batch.segments > 0).sum())
    return here + (read_tokens(batch.source) if batch.source else 0)


def due(step: int, every: int) -> bool:
    """Whether something done `every` steps (0 = never) is done after `step`."""
    return every > 0 and step % every == 0


def way_on(out: Path | None) -> str:
    """How to go on after a stop."""
    return f"the same command with --resume goes on from {out}" if out else "nothing was kept: the run has no folder"
