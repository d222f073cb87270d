"""Steps that are tried before the first one counts, and undone: to compile, and to know how long one takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median

import torch

from weft.batch import Dataset, Item
from weft.training.checkpoints import load_module, module_tensors
from weft.training.length import count_steps
from weft.training.reader import Reader
from weft.training.run import Run
from weft.training.step import gradients, update

WARM, TIMED = 2, 5  # steps: kernels are prepared and memory is found in the first
TRIED = 16  # steps in which a label that counts is looked for


def count_steps_of(run: Run, dataset: Dataset[Item], reader: Reader) -> int:
    """The run's steps; a resumed run whose length is another now knows its own pace."""
    done = run.progress

    def pace() -> float:
        if done.step:
            return done.seconds / done.step
        batches = labelled(run, reader)
        if not batches:
            raise ValueError(
                f"not one label counts in the first {TRIED} steps, so nobody can say how long a step takes: "
                "give the run's length in steps, or look at the samples"
            )
        return run.world.first(seconds_per_step(run, batches))

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
    """Inside it training may be tried: weights, buffers, gradients and generator are put back, also where it fails."""
    before = {name: tensor.detach().clone() for name, tensor in module_tensors(run.module).items()}
    generator = torch.get_rng_state()
    run.module.train()
    try:
        yield
    finally:
        load_module(run.module, before, "the weights before the first step")
        run.optimiser.zero_grad()
        torch.set_rng_state(generator)


def seconds_per_step(run: Run, batches: list[Item]) -> float:
    """The median time of a step on these rows. Weights, optimiser and generator are left as they were."""
    seconds = []
    with _undone(run):
        run.optimiser.set_rate(0.0)
        for _ in range(WARM + TIMED):
            began = time.perf_counter()
            update(run, batches, run.progress.step)
            seconds.append(time.perf_counter() - began)
    run.optimiser.forget()
    run.watch.notice(f"a step takes {median(seconds[WARM:]):.3f} s here")
    return median(seconds[WARM:])
