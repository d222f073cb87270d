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
SIZED = 64  # further steps whose rows are counted, and not computed
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
        if counted(run, batches):
            return batches
    return []


def counted(run: Run, batches: list[Item]) -> bool:
    """Whether a label of a step counts on some process."""
    return any(run.world.total([run.objective.counts(batch) for batch in batches]).values())


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
    """The mean time of a step, its waiting for rows too. Weights, optimiser and generators are left as they were.

    The next steps are tried, or, where no label of theirs counts, `batches`. Of these few the time for a token (or
    whatever rows are counted in) is taken, and how much a step has of them is the mean over more: rows of one length
    may go together, and the first steps be longer than others.
    """
    pace, waited, sizes = list[float](), list[float](), list[float]()
    with _undone(run), _trial(run, dataset) as wait:
        run.optimiser.set_rate(0.0)
        for _ in range(WARM + TIMED):
            began = time.perf_counter()
            given = run.world.agreed(wait)
            read = time.perf_counter()
            rows = given if counted(run, given) else batches
            update(run, rows, run.progress.step)
            sizes.append(_size(rows))
            waited.append(read - began)
            pace.append((time.perf_counter() - read) / sizes[-1])
        sizes += _more_sizes(run, wait, budget=sum(pace[WARM:]) * fmean(sizes))
    run.optimiser.forget()
    # rows that are read ahead come several at once: of the waiting the mean tells
    found = median(pace[WARM:]) * fmean(sizes) + fmean(waited[WARM:])
    run.watch.notice(f"a step takes {found:.3f} s here")
    return found


def _more_sizes(run: Run, wait: Callable[[], list[Item]], budget: float) -> list[float]:
    """Of the steps that come then, as many as are read in so many seconds, at most `SIZED`."""
    sizes, began = list[float](), time.perf_counter()
    while len(sizes) < SIZED and (given := run.world.agreed(wait)):
        sizes.append(_size(given))
        if run.world.first(time.perf_counter() - began > budget):  # one decides: the clocks of others differ
            break
    return sizes


def _size(batches: list[Item]) -> float:
    """What a step has of what rows are counted in, at least 1."""
    return float(max(1, sum(batch.size for batch in batches)))


@contextmanager
def _trial(run: Run, dataset: Dataset[Item]) -> Iterator[Callable[[], list[Item]]]:
    """What gives the rows of one step after the other as in the run, and is thrown away; none for an iterable, which is
    read once."""
    if isinstance(dataset, Once):
        yield list
        return
    with Reader(dataset, run.settings, run.world, run.device, run.progress.position) as reader:
        yield reader.next
