"""What the finished weights of a run are, where they are chosen among its checkpoints."""

from itertools import chain, islice
from pathlib import Path

from torch.nn import Module

from weft.training import checkpoints
from weft.training.average import mean
from weft.training.checkpoints import MODEL, load_module
from weft.training.settings import TrainSettings


def counted(settings: TrainSettings, steps: int) -> list[int]:
    """The steps whose checkpoints `last` is the mean of, newest first, in a run of `steps`.

    Those that every run of these settings has: each `checkpoint_every`, and the end. One that a stop or a failure left
    does not count, or a stop would change the finished weights.
    """
    every = settings.checkpoint_every
    regular = range(0) if every == 0 else range((steps - 1) // every * every, 0, -every)
    return list(islice(chain((steps,), regular), settings.last))  # a long run has many: they are not all made


def needed(settings: TrainSettings, steps: int, best_step: int) -> list[int]:
    """The steps whose checkpoints may not go before the run ends, whatever `keep` says."""
    return [best_step] if best_step else counted(settings, steps)


def check_last(settings: TrainSettings, steps: int, taken: int, out: Path | None) -> None:
    """ValueError where the checkpoints that `last` asks for will not be there, in a run of `steps` that has `taken`
    some of them."""
    if not settings.last or out is None:
        return
    wanted = counted(settings, steps)
    if len(wanted) < settings.last:
        raise ValueError(
            f"last={settings.last} is the mean of so many checkpoints, and a run of {steps} steps with "
            f"checkpoint_every={settings.checkpoint_every} writes {len(wanted)}: set "
            f"checkpoint_every={max(1, steps // settings.last)} or fewer, or last={len(wanted)}"
        )
    parent = out / checkpoints.FOLDER
    gone = [step for step in wanted if step <= taken and not (parent / checkpoints.folder_name(step)).is_dir()]
    if gone:
        raise ValueError(
            f"last={settings.last} is the mean of the checkpoints of steps {', '.join(map(str, wanted))}, and "
            f"{', '.join(map(str, gone))} is not in {parent}: a run of other settings, it seems; set last and "
            "checkpoint_every as they were, or last=0"
        )


def chosen(settings: TrainSettings, steps: int, best_step: int, out: Path) -> list[Path]:
    """The checkpoints that the finished weights are made of, oldest first, each verified; DamagedFile names one that is
    damaged."""
    parent = out / checkpoints.FOLDER
    found = [parent / checkpoints.folder_name(step) for step in sorted(needed(settings, steps, best_step))]
    for path in found:
        checkpoints.verify(path)
    return found


def load_mean(module: Module, found: list[Path]) -> None:
    """Make the module's weights the mean of these checkpoints'; of one, its own."""
    load_module(module, mean([checkpoints.read(path, MODEL) for path in found]), found[-1] / MODEL)


def better(settings: TrainSettings, value: float | None, before: float | None) -> bool:
    """Whether a figure of the evaluator's is better than the best before it; None is no figure."""
    if value is None or before is None:
        return value is not None
    return value > before if settings.highest else value < before


def exhausted(settings: TrainSettings, evaluated: int, best_step: int) -> bool:
    """Whether so many evaluations up to the one after step `evaluated` have brought nothing better than that after
    `best_step` that the run ends."""
    waited = evaluated - best_step
    return 0 < settings.patience * settings.evaluate_every <= waited
