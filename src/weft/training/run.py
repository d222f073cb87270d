"""What surrounds the loop: beginning, going on after a stop, saving, and what the finished weights are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from weft.batch import Dataset, Item
from weft.settings import from_data, to_data
from weft.training import checkpoints
from weft.training.average import Average
from weft.training.checkpoints import AVERAGE, MODEL, OPTIMISER, REST, Checkpoint, encoded, module_tensors
from weft.training.decisions import DIVIDED, Decisions, check_length, decide, replay, same_settings
from weft.training.finished import better, check_last, chosen, load_mean, needed
from weft.training.flops import Meter
from weft.training.generators import told_apart
from weft.training.log import Log
from weft.training.modes import Modes
from weft.training.objective import Objective, check_weights
from weft.training.optimisers import build_optimiser, count_parameters, trainable
from weft.training.parallel import engine
from weft.training.rest import rest
from weft.training.saver import Saver
from weft.training.settings import TrainSettings
from weft.training.strangers import check_samples
from weft.training.watch import Watcher, thousands
from weft.training.world import ALONE, World

Evaluate = Callable[[Module], Mapping[str, float]]


@dataclass(frozen=True)
class Progress:
    """How far a run has come: what a step changes, besides tensors."""

    step: int = 0  # updates taken (or skipped)
    position: int = 0  # samples consumed, over all epochs: the one cursor of the data order
    tokens: int = 0
    seconds: float = 0.0  # spent in steps, waiting for their rows too; evaluation and saving are left out
    updates: int = 0  # of the weights: steps that were not skipped
    loss: float | None = None  # of the last step taken
    evaluation: dict[str, float | None] = field(default_factory=dict)  # the last one; None = not finite
    evaluated: int = 0  # the step after which that was
    best_step: int = 0  # where settings.best was lowest (or highest)
    best_value: float | None = None


class Run:
    """The fixed parts of one run. `progress` is where it begins: the start, or where the checkpoint stands."""

    def __init__(
        self,
        module: Module,
        objective: Objective,
        settings: TrainSettings,
        out: Path | None,
        watch: Watcher,
        *,
        resume: bool,
        decisions: Mapping[str, str],
        world: World,
    ):
        settings.check()
        self.module, self.objective, self.settings = module, objective, settings
        self.out, self.watch, self.world = out, watch, world
        self.notices: list[str] = []
        self.failed: Exception | None = None  # of what this process does alone
        self.progress, self.checkpoint, self.saved = Progress(), None, 0
        self.steps = 0  # counted once the rows are known
        self.device = next(iter(trainable(module).values()), torch.empty(0)).device
        if self.device.type == "meta":
            raise ValueError("the module lies on the meta device, without any weights: give it some (to_empty, load)")
        self.modes = Modes(module)
        world.agreed(partial(rest, module))  # what cannot be kept is refused
        found = world.asked(partial(self._find, resume))
        self.decisions = world.first(world.agreed(partial(self._decide, found, decisions)))
        self.precision = self.decisions.precision
        self.engine = engine(module, objective, world, settings.parallel)
        self.optimiser = build_optimiser(module, settings, dtype=self.precision.torch_dtype())
        self.average = Average(module, settings.average) if settings.average else None
        self.saver = Saver(settings.background)
        self.meter = Meter(self.decisions.compile)
        self.writers = world.apart() if self.engine.sharded else ALONE  # who writes a checkpoint together
        if found is None:
            torch.set_rng_state(told_apart(torch.get_rng_state(), world.rank))
        else:
            world.agreed(partial(found.restore, module, self.optimiser, self.average, world.rank))
            self._resumed(found)

    def reads(self, dataset: Dataset[Item]) -> None:
        """The run reads these samples; their number will be recorded. ValueError where it cannot (`check_samples`)."""
        check_samples(dataset, self.decisions.samples, self.out, self.world.size)
        self.decisions = replace(self.decisions, samples=len(dataset))

    def lasts(self, steps: int) -> None:
        """The run has so many steps, as will be recorded, and begins: nothing of it is refused from here on, so that
        what a killed process left in its folder can go. ValueError where it cannot be so long."""
        taken, before, settings = self.progress.step, self.decisions.steps, self.settings
        lengthened = check_length(settings, steps, taken=taken, before=before, out=self.out)
        self.world.asked(partial(check_last, settings, steps, taken, self.out))
        self.steps, self.decisions = steps, replace(self.decisions, steps=steps)
        divided = max(settings.micro_batches, self.world.size) > 1
        for text in filter(None, (lengthened, self.modes.coupled() if divided else "")):
            self.notice(text)
        if self.out is not None:
            spare = needed(settings, steps, self.progress.best_step)
            self.world.asked(partial(checkpoints.tidy, self.out, keep=settings.keep, spare=spare))

    def alone(self, task: Callable[[], object]) -> None:
        """Do what the main process does alone. Among several its error is raised where all next agree, so that no
        other waits for one that has left."""
        try:
            task()
        except Exception as error:
            if self.world.size == 1:
                raise
            self.failed = self.failed or error

    def check(self) -> None:
        """Raise what has failed on this process since it was last asked: done alone, or saved in the background."""
        failed, self.failed = self.failed, None
        if failed is not None:
            raise failed
        self.saver.check()

    def notice(self, text: str) -> None:
        """Tell the person, and whoever reads the result."""
        self.notices.append(text)
        self.alone(partial(self.watch.notice, text))

    def headline(self) -> str:
        """One line that says what is about to be trained, and how."""
        size = thousands(count_parameters(trainable(self.module).values()))
        threads, processes = torch.get_num_threads(), self.world.size
        where = str(self.device) if self.device.type != "cpu" else f"{threads} thread{'s' if threads > 1 else ''}"
        if processes > 1:
            where += f" in each of {processes} processes ({self.settings.parallel})"
        settings, precision = self.settings, self.precision
        return (
            f"{size} parameters, {settings.optimiser}, {self.steps} steps of {settings.batch} rows, "
            f"{precision.dtype} ({precision.reason}){', compiled' if self.decisions.compile else ''}, {where}"
        )

    def save(self, progress: Progress, log: Log) -> None:
        """Write a checkpoint of `progress`, once. Diverged where a weight is not finite: the last good one stays.

        In the background what is written are copies taken now, once the save before is done; an error in writing is
        raised at the next `check`. Whole weights are written by the main process, shares by each.
        """
        self.world.agreed(self.check)
        if self.out is None or progress.step == self.saved:
            return
        self.world.agreed(partial(check_weights, self.module, progress.step))
        self.saved = progress.step
        writes = self.world.main or self.engine.sharded
        generators = self.world.gather(encoded(torch.get_rng_state()))
        self.world.agreed(partial(self._submit, progress, log, generators) if writes else nothing)

    def _submit(self, progress: Progress, log: Log, generators: list[str]) -> None:
        self.saver.wait()  # or there would be two copies in memory
        parts: dict[str, Mapping[str, Tensor]] = {
            MODEL: module_tensors(self.module),
            OPTIMISER: self.optimiser.tensors(),
        }
        if self.average is not None:
            parts[AVERAGE] = self.average.tensors()
        tensors, extra = rest(self.module)
        if tensors:
            parts[REST] = tensors
        copies = {file: {name: copied(tensor) for name, tensor in tensors.items()} for file, tensors in parts.items()}
        log.sync()
        state = {
            "progress": asdict(progress),
            "settings": to_data(self.settings),
            "decisions": to_data(self.decisions),
            "generators": generators,
            "extra": deepcopy(extra),
            "needs": needed(self.settings, self.steps, progress.best_step),
        }
        self.saver.submit(partial(self._write, progress, copies, state))

    def _write(self, progress: Progress, files: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
        assert self.out is not None
        keep = self.settings.keep
        self.checkpoint = checkpoints.save(self.out, progress.step, files, state, keep=keep, world=self.writers)
        self.watch.saved(progress.step, self.checkpoint)

    @contextmanager
    def saved_on_error(self, progress: Progress, log: Log) -> Iterator[None]:
        """Save `progress` where what is done inside fails, so that a mistake there loses no step."""
        try:
            yield
        except Exception:
            self.save(progress, log)
            raise

    def judged(self, progress: Progress) -> Progress:
        """`progress` with its evaluation compared to the best so far. ValueError where the figure is not there."""
        name = self.settings.best
        if not name:
            return progress
        if name not in progress.evaluation:
            raise ValueError(
                f"best={name!r} is no figure of the evaluator's; it gives {', '.join(progress.evaluation)}"
            )
        value = progress.evaluation[name]
        if not better(self.settings, value, progress.best_value):
            return progress
        return replace(progress, best_step=progress.step, best_value=value)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Inside it the weights are those that the run would end with now, on all processes."""
        self.engine.agree()
        with nullcontext() if self.average is None else self.average.applied():
            try:
                yield
            finally:
                self.engine.release()

    def settle(self, progress: Progress) -> bool:
        """Make the module's weights the finished ones; whether they are others than those last evaluated."""
        if self.average is not None:
            self.average.settle()
        if not (self.settings.last or self.settings.best) or self.out is None:
            return False
        if self.settings.best and not progress.best_step:
            self.notice(f"no evaluation gave a finite {self.settings.best}: the finished weights are the last ones")
            return False
        found = chosen(self.settings, self.steps, progress.best_step, self.out)
        load_mean(self.module, found)
        self.notice(f"the finished weights are those of {', '.join(path.name for path in found)}")
        return True

    def _find(self, resume: bool) -> Checkpoint | None:
        if self.out is None:
            if resume:
                raise ValueError("there is nothing to resume: the run has no folder; name the one it was started with")
            if self.settings.last or self.settings.best:
                raise ValueError("last and best are chosen among checkpoints, and the run has no folder: give it one")
            return None
        found = checkpoints.latest(self.out)
        if found is not None and not resume:
            raise ValueError(
                f"{self.out} holds a run already, at step {found.step}; resume it (--resume) or name another folder"
            )
        if resume and found is None:
            self.notice(f"no checkpoint in {self.out} yet; starting at the beginning")
        return found

    def _decide(self, found: Checkpoint | None, given: Mapping[str, str]) -> Decisions:
        """The decisions of a new run, or those recorded with the checkpoint."""
        if found is None:
            return decide(self.settings, self.device, given, self.world.size)
        recorded = from_data(Decisions, found.state["decisions"])
        if same_settings(found.state["settings"], self.settings, self.out, self.notice):
            self.steps = recorded.steps
        if (before := recorded.processes) != (now := self.world.size):
            self.notice(f"processes were {before} and are {now} now: {DIVIDED}")
        return replay(recorded, self.settings, given, now)

    def _resumed(self, found: Checkpoint) -> None:
        for text in found.notices:
            self.notice(text)
        self.world.asked(partial(self._set_aside, found.refused))
        self.progress = from_data(Progress, found.state["progress"])
        was = found.state["settings"]
        if (was["best"], was.get("highest", False)) != (self.settings.best, self.settings.highest):
            # judged anew: an evaluation after this very step is done again; the log keeps those before it
            evaluated = min(self.progress.evaluated, found.step - 1)
            self.progress = replace(self.progress, evaluated=evaluated, best_step=0, best_value=None)
        best = checkpoints.folder_name(self.progress.best_step)
        if self.progress.best_step and not self.world.asked(found.path.with_name(best).is_dir):
            self.notice(f"the best checkpoint so far, {best}, is gone: the best is looked for anew from here on")
            self.progress = replace(self.progress, best_step=0, best_value=None)
        self.checkpoint, self.saved = found.path, found.step
        self.notice(f"resumed at step {found.step}")

    def _set_aside(self, refused: Iterable[Path]) -> None:
        for path in refused:
            self.notice(f"the damaged {path.name} is kept as {checkpoints.set_aside(path).name}")


def copied(tensor: Tensor) -> Tensor:
    """A copy on the CPU, of a share where it is one, that nothing else writes to."""
    return tensor.detach().to("cpu", copy=True)


def nothing() -> None:
    """What a process does that has nothing to do."""
