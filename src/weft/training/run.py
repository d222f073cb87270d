"""What surrounds the loop: beginning, going on after a stop, and saving."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch.nn import Module

from weft.settings import from_data, to_data
from weft.training import checkpoints
from weft.training.checkpoints import Checkpoint
from weft.training.log import Log
from weft.training.optimisers import build_optimiser, trainable
from weft.training.precision import Precision, choose
from weft.training.settings import TrainSettings
from weft.training.step import check_weights
from weft.training.watch import Watcher, thousands

# settings that may change between a stop and a resume; any other one would make it a different run
FREE = ("steps", "micro_batches", "threads", "log_every", "evaluate_every", "checkpoint_every", "keep")
FELT = {  # those of them that a person should be told about
    "steps": "the rate's decay follows the new length from here on",
    "micro_batches": "the loss stays the same to rounding, dropout draws anew",
    "threads": "sums are rounded in another order, so the last bits may differ",
}


@dataclass(frozen=True)
class Progress:
    """How far a run has come: what a step changes, besides tensors."""

    step: int = 0  # updates taken (or skipped)
    position: int = 0  # samples consumed, over all epochs: the one cursor of the data order
    tokens: int = 0
    seconds: float = 0.0  # spent in steps, evaluation and saving left out
    loss: float | None = None  # of the last step taken
    evaluation: dict[str, float | None] = field(default_factory=dict)  # the last one; None = not finite


class Run:
    """The fixed parts of one run. `progress` is where it begins: the start, or where the checkpoint stands."""

    def __init__(
        self,
        module: Module,
        settings: TrainSettings,
        out: Path | None,
        watch: Watcher,
        *,
        resume: bool,
        decisions: Mapping[str, str],
    ):
        settings.check()
        self.module, self.settings, self.out, self.watch = module, settings, out, watch
        self.given = dict(decisions)
        self.notices: list[str] = []
        self.progress, self.checkpoint = Progress(), None
        self.device = next(iter(trainable(module).values()), torch.empty(0)).device
        found = self._find(resume)
        if found is None:
            torch.set_num_threads(settings.threads or torch.get_num_threads())
            self.precision = choose(settings.precision, self.device)
        else:
            self._replay(found)
        self.optimiser = build_optimiser(module, settings, dtype=self.precision.torch_dtype())
        if found is not None:
            self._restore(found)

    def notice(self, text: str) -> None:
        """Tell the person, and whoever reads the result."""
        self.notices.append(text)
        self.watch.notice(text)

    def headline(self) -> str:
        """One line that says what is about to be trained, and how."""
        size = thousands(sum(parameter.numel() for parameter in trainable(self.module).values()))
        threads = torch.get_num_threads()
        where = str(self.device) if self.device.type != "cpu" else f"{threads} thread{'s' if threads > 1 else ''}"
        settings = self.settings
        return (
            f"{size} parameters, {settings.optimiser}, {settings.steps} steps of {settings.batch} rows, "
            f"{self.precision.dtype} ({self.precision.reason}), {where}"
        )

    def save(self, progress: Progress, log: Log) -> None:
        """Write a checkpoint of `progress`, once. Diverged where a weight is not finite: the last good one stays."""
        if self.out is None or progress.step == self.progress.step:
            return
        check_weights(self.module, progress.step)
        log.sync()
        decisions = {"precision": asdict(self.precision), "threads": torch.get_num_threads(), "given": self.given}
        state = {"progress": asdict(progress), "settings": to_data(self.settings), "decisions": decisions}
        keep = self.settings.keep
        self.checkpoint = checkpoints.save(self.out, progress.step, self.module, self.optimiser, state, keep)
        self.progress = progress
        self.watch.saved(progress.step, self.checkpoint)

    @contextmanager
    def saved_on_error(self, progress: Progress, log: Log) -> Iterator[None]:
        """Save `progress` where what is done inside fails, so that a mistake there loses no step."""
        try:
            yield
        except Exception:
            self.save(progress, log)
            raise

    def _find(self, resume: bool) -> Checkpoint | None:
        found = checkpoints.latest(self.out) if self.out else None
        if resume and self.out is None:
            raise ValueError("there is nothing to resume: the run has no folder; name the one it was started with")
        if found is not None and not resume:
            raise ValueError(
                f"{self.out} holds a run already, at step {found.step}; resume it (--resume) or name another folder"
            )
        if resume and found is None:
            self.notice(f"no checkpoint in {self.out} yet; starting at the beginning")
        return found

    def _replay(self, found: Checkpoint) -> None:
        """Take the recorded decisions over. ValueError where a setting differs that makes it another run."""
        for text in found.notices:
            self.notice(text)
        recorded, now = found.state["settings"], to_data(self.settings)
        for name in sorted(set(recorded) | set(now)):
            old, new = recorded.get(name), now.get(name)
            if old != new and name not in FREE:
                raise ValueError(
                    f"{name} was {old} when {self.out} was started and is {new} now, which makes it another run; "
                    f"set {name}={old} to resume, or name another folder"
                )
            if old != new and name in FELT:
                self.notice(f"{name} was {old} and is {new} now: {FELT[name]}")
        decided = found.state["decisions"]
        if decided["given"] != self.given:
            raise ValueError(
                f"the run was started with the decisions {decided['given']}, not {self.given}; replay them"
            )
        torch.set_num_threads(self.settings.threads or decided["threads"])
        self.precision = from_data(Precision, decided["precision"])

    def _restore(self, found: Checkpoint) -> None:
        found.restore(self.module, self.optimiser)
        for path in found.refused:
            self.notice(f"the damaged {path.name} is kept as {checkpoints.set_aside(path).name}")
        self.progress = from_data(Progress, found.state["progress"])
        self.checkpoint = found.path
        self.notice(f"resumed at step {found.step}")
