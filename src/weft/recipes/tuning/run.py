"""Fine-tuning, whole: data, model, head, training for each seed, and the folder of the best."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from weft.evaluate import Metric, Spread, over_seeds
from weft.files import digest
from weft.hub import load
from weft.hub.transfer import put
from weft.objectives import bare
from weft.objectives.tasks_head import MODEL, WithHead, beside
from weft.outputs import locked
from weft.recipes.begin import kernels
from weft.recipes.tuning.description import Description
from weft.recipes.tuning.folder import begin, check_folder, seed_folder
from weft.recipes.tuning.prepare import Prepared, Tuning, constant, judged, prepare
from weft.recipes.tuning.tuned import write_task
from weft.settings import to_data
from weft.training import measure
from weft.training.checkpoints import whole_tensors
from weft.training.finished import better
from weft.training.loop import SILENT, Result, train
from weft.training.settings import TrainSettings
from weft.training.watch import Watcher
from weft.training.world import join, place


@dataclass(frozen=True)
class Outcome:
    """What a tuning came to. scores: the metric on the dev set, of each seed that ended; best: the seed whose model is
    in the folder, of which score and figures are. constant: what the commonest class of the training set would score.
    spread: over seeds, where there are several."""

    out: Path
    metric: Metric
    scores: tuple[float, ...]
    score: float | None
    best: int
    figures: dict[str, float | None]
    constant: float | None
    spread: Spread | None
    seconds: float
    interrupted: bool


def tune(
    tuning: Tuning,
    out: Path | str,
    *,
    resume: bool = False,
    overwrite: bool = False,
    watch: Callable[[], Watcher] = lambda: SILENT,
) -> Outcome:
    """Fine-tune a model into the folder `out`: `weft.load` loads it, `read_tuned` with its head. Of each seed the
    checkpoint counts at which the metric was best; of several seeds the best model is kept.

    ValueError names whatever is wrong, before anything is written. Under torchrun every process calls this alike.
    """
    out, world = Path(out), join()
    tell = watch().notice if world.main else SILENT.notice
    if tuning.seeds < 1:
        raise ValueError(f"seeds={tuning.seeds}: at least one run is trained")
    with contextlib.ExitStack() as held:

        def lead() -> None:
            if world.main:
                check_folder(out, resume=resume, overwrite=overwrite)
                held.enter_context(locked(out))

        world.agreed(lead)
        prepared = world.agreed(partial(prepare, tuning, tell))
        settings, facts = (
            settled(tuning.train, prepared.metric, len(prepared.train.data)),
            _facts(tuning, prepared.description),
        )
        world.asked(lambda: begin(out, facts, resume=resume, overwrite=overwrite))
        results, best, tensors = _seeds(tuning.seeds, prepared, settings, out, resume=resume, watch=watch)
        if not results[-1].interrupted:
            world.asked(lambda: _write(out, prepared, tensors))
    return _outcome(out, prepared, settings, results, best)


def _seeds(
    count: int,
    prepared: Prepared,
    settings: TrainSettings,
    out: Path,
    *,
    resume: bool,
    watch: Callable[[], Watcher],
) -> tuple[list[Result], int, dict[str, Tensor]]:
    """The runs, until one is interrupted; which of them was best (the first of equals), and its weights."""
    results, scores, best, tensors = list[Result](), list[float](), 0, dict[str, Tensor]()
    for seed in range(settings.seed, settings.seed + count):
        module = built(prepared, seed, settings.device)
        told = watch() if join().main else SILENT
        results.append(_trained(module, prepared, replace(settings, seed=seed), out, resume=resume, watch=told))
        if results[-1].interrupted:
            break
        scores.append(_figure(results[-1].figures, prepared.metric))
        if len(scores) == 1 or better(settings, scores[-1], scores[best]):
            best, tensors = len(scores) - 1, whole_tensors(module)
    return results, best, tensors


def _outcome(out: Path, prepared: Prepared, settings: TrainSettings, results: Sequence[Result], best: int) -> Outcome:
    ended = [result for result in results if not result.interrupted]
    scores = tuple(_figure(result.figures, prepared.metric) for result in ended)
    return Outcome(
        out=out,
        metric=prepared.metric,
        scores=scores,
        score=scores[best] if scores else None,
        best=settings.seed + best,
        figures=ended[best].figures if ended else {},
        constant=constant(prepared),
        spread=over_seeds(scores) if len(scores) > 1 else None,
        seconds=sum(result.progress.seconds for result in results),
        interrupted=results[-1].interrupted,
    )


def settled(settings: TrainSettings, metric: Metric, rows: int) -> TrainSettings:
    """The settings with what follows from the data: an evaluation an epoch, by whose metric the best is chosen.
    ValueError for those that cannot be meant."""
    every = settings.evaluate_every or -(-rows // max(settings.batch, 1))
    found = replace(settings, evaluate_every=every, best=metric.name, highest=metric.higher)
    found.check()
    return found


def built(prepared: Prepared, seed: int, device: str) -> WithHead:
    """The model as it was loaded, with a new head beside it."""
    model, objective = prepared.model, prepared.description.objective
    module = objective.wrap(deepcopy(model.module), model.blueprint, seed, lambda name: load(name).module)
    assert isinstance(module, WithHead)
    return module.to(place(device))


def _trained(
    module: WithHead, prepared: Prepared, settings: TrainSettings, out: Path, *, resume: bool, watch: Watcher
) -> Result:
    """One seed's run, in a folder of its own."""
    world, folder, data = join(), seed_folder(out, settings.seed), prepared.train.data
    longest = max(data.length(sample) for sample in range(len(data)))
    decided = world.asked(lambda: kernels(settings, module, longest, folder, resume=resume))
    measure.replay(bare(module), decided)
    return train(
        module,
        data,
        prepared.description.objective,
        settings,
        folder,
        evaluate=lambda trained: judged(trained, prepared),
        resume=resume,
        watch=watch,
        decisions=decided or None,
    )


def _figure(figures: Mapping[str, float | None], metric: Metric) -> float:
    value = figures[metric.name]
    if value is None:
        raise ValueError(
            f"{metric.name} of the dev set is no finite number: all that is predicted is alike, it seems; train "
            "longer, or choose another metric"
        )
    return value


def _write(out: Path, prepared: Prepared, tensors: dict[str, Tensor]) -> None:
    """The tuned model as `weft.save` writes it, in the precision it was trained in, and its head and task."""
    model = prepared.model
    inner = {name.removeprefix(MODEL): tensor for name, tensor in tensors.items() if name.startswith(MODEL)}
    put(out, model.blueprint, inner, model.origin, model.tokenizer, dtype=torch.float32, shard=None)
    write_task(out, prepared.description, beside(tensors))


def _facts(tuning: Tuning, description: Description) -> dict[str, Any]:
    """What tune.json says."""
    some = {} if tuning.examples is None else {"examples": tuning.examples, "chosen by": tuning.train.seed}
    return {
        "model": str(tuning.begin),
        "task": description.to_data(),
        "data": {"data": digest(tuning.data), "dev": digest(tuning.dev)} | some,
        "train": to_data(tuning.train),
        "seeds": tuning.seeds,
    }
