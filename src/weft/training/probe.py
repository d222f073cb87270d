"""Steps that are tried before the first one counts, and undone: to compile, and to know how long one takes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import fmean, median

import torch

from weft.batch import Dataset, Item
from weft.training.generators import kept
from weft.training.length import count_steps
from weft.training.optimisers import trainable
from weft.training.reader import Reader
from weft.training.rest import undone
from weft.training.run import Run
from weft.training.step import gradients, update
from weft.training.strangers import Once

WARM, TIMED = 2, 5  # steps: kernels are prepared and memory is found in the first
TRIED = 16  # steps in which a label that counts is looked for


def count_steps_of(run: Run, dataset: Dataset[Item], reader: Reader) -> int:
    """The run's steps; a resumed run whose length is another now knows its own pace."""
    done = run.progress

    def pace() -> float:
        if done.step:
            return done.seconds / done.step
        began = time.perf_counter()
        batches = labelled(run, reader)
        read = time.perf_counter() - began if isinstance(dataset, Once) else 0.0  # which cannot be tried
        if not batches:
            raise ValueError(
                f"not one label counts in the first {TRIED} steps, so nobody can say how long a step takes: "
                "give the run's length in steps, or look at the samples"
            )
        return run.world.first(read + seconds_per_step(run, dataset, batches))

    return run.world.first(count_steps(run.settings, dataset, pace))


def labelled(run: Run, reader: Reader) -> list[Item]:
    """The rows of the next step in which a label counts on some process, without which nothing would be computed; of
    none where there is no such step near."""
    for after in range(TRIED):
        batches = run.world.agreed(partial(reader.peek, after))
        if any(run.world.total([run.objective.counts(batch) for batch in batches]).values()):
            return batches
    return []


def rehearse(run: Run, reader: Reader) -> None:
    """Compile what is compiled, so that no step is the time of that; gradients are computed, and forgotten."""
    batches = labelled(run, reader)
    if not batches:  # the first step that has labels will compile
        return
    began = time.perf_counter()
    with _undone(run):
        gradients(run, batches, run.progress.step)
    run.notice(f"compiled in {time.perf_counter() - began:.0f} s")


@contextmanager
def _undone(run: Run) -> Iterator[None]:
    """Inside it training may be tried: weights, buffers, extra state, gradients and generators are put back, also where
    it fails."""
    weights = trainable(run.module)
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    run.modes.train()
    try:
        with kept(run.device), undone(run.module):
            yield
    finally:
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(before[name])
        run.optimiser.zero_grad()


def seconds_per_step(run: Run, dataset: Dataset[Item], batches: list[Item]) -> float:
    """The time of a step on these rows, its waiting for rows too. Weights, optimiser and generators are left as they
    were."""
    seconds, waited = [], []
    with _undone(run), _trial(run, dataset) as wait:
        run.optimiser.set_rate(0.0)
        for _ in range(WARM + TIMED):
            began = time.perf_counter()
            run.world.agreed(wait)
            read = time.perf_counter()
            update(run, batches, run.progress.step)
            waited.append(read - began)
            seconds.append(time.perf_counter() - read)
    run.optimiser.forget()
    # rows that are read ahead come several at once: of the waiting the mean tells
    found = median(seconds[WARM:]) + fmean(waited[WARM:])
    run.watch.notice(f"a step takes {found:.3f} s here")
    return found


@contextmanager
def _trial(run: Run, dataset: Dataset[Item]) -> Iterator[Callable[[], object]]:
    """What gives the rows of one step after the other as in the run, and is thrown away; nothing for an iterable, which
    is read once."""
    if isinstance(dataset, Once):
        yield lambda: None
        return
    with Reader(dataset, run.settings, run.world, run.device, run.progress.position) as reader:
        yield reader.next
