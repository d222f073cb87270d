"""A run's length where it is given in minutes: steps are timed before the first one counts, and undone."""

import time
from statistics import median

import torch

from weft.batch import Dataset, Item
from weft.training.checkpoints import load_module, module_tensors
from weft.training.length import count_steps
from weft.training.reader import Reader
from weft.training.run import Run
from weft.training.step import update

WARM, TIMED = 2, 5  # steps: kernels are prepared and memory is found in the first


def count_steps_of(run: Run, dataset: Dataset[Item], reader: Reader) -> int:
    """The run's steps; a resumed run whose length is another now knows its own pace."""
    done = run.progress

    def pace() -> float:
        return done.seconds / done.step if done.step else run.world.first(seconds_per_step(run, reader.peek()))

    return run.world.first(count_steps(run.settings, dataset, pace))


def seconds_per_step(run: Run, batches: list[Item]) -> float:
    """The median time of a step on these rows. Weights, optimiser and generator are left as they were."""
    weights = {name: tensor.detach().clone() for name, tensor in module_tensors(run.module).items()}
    generator = torch.get_rng_state()
    run.optimiser.set_rate(0.0)
    run.module.train()
    seconds = []
    for _ in range(WARM + TIMED):
        began = time.perf_counter()
        update(run, batches, run.progress.step)
        seconds.append(time.perf_counter() - began)
    load_module(run.module, weights, "the weights before the first step")
    run.optimiser.forget()
    run.optimiser.zero_grad()
    torch.set_rng_state(generator)
    run.watch.notice(f"a step takes {median(seconds[WARM:]):.3f} s here")
    return median(seconds[WARM:])
