"""What is decided once per run, by measuring or by request: recorded with it, and replayed on resume."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn import Module

from weft.nn import kernels
from weft.settings import to_data
from weft.training.precision import Precision, choose
from weft.training.schedule import rate_factor
from weft.training.settings import LENGTHS, TrainSettings

# settings that may change between a stop and a resume; any other one would make it a different run
FREE = (
    *LENGTHS, "best", "highest", "patience", "last", "micro_batches", "threads", "workers", "device", "compile",
    "recompute", "parallel", "log_every", "evaluate_every", "checkpoint_every", "keep", "background",
)  # fmt: skip
DIVIDED = (
    "the loss stays the same to rounding; but dropout and a data set's noise draw anew, and batch statistics, where "
    "there are any, are of other rows"
)
FELT = {  # those of them that a person should be told about
    **dict.fromkeys(LENGTHS, "the rate's decay follows the new length from here on"),
    "last": "it is the mean of the checkpoints that a run of these settings has",
    **dict.fromkeys(("best", "highest"), "the best so far is looked for anew from here on"),
    "micro_batches": DIVIDED,
    "threads": "sums are rounded in another order, so the last bits may differ",
    "device": "another device rounds otherwise, so the last bits may differ",
    "compile": "compiled code rounds otherwise, so the last bits may differ",
    "recompute": "the loss stays the same",
}


@dataclass(frozen=True)
class Decisions:
    """What was decided, as checkpoints hold it."""

    precision: Precision  # of the products
    compile: bool  # whether the forward pass is compiled
    threads: int  # of each process
    processes: int = 1
    steps: int = 0  # the run's length, whatever it was given in; 0 = not counted yet
    samples: int = 0  # in the data set; 0 = not known yet
    given: dict[str, str] = field(default_factory=dict)  # by the caller: which kernels run


def forced(module: Module, settings: TrainSettings) -> dict[str, str]:
    """The kernel that the settings ask for on every field of the module; nothing where it is to be measured, which is
    the caller's to do, who knows the rows."""
    if settings.kernel == "measured":
        return {}
    return dict.fromkeys(kernels.use(module, settings.kernel), settings.kernel)


def decide(settings: TrainSettings, device: torch.device, given: Mapping[str, str], processes: int) -> Decisions:
    """The decisions of a new run, whose threads are set; its steps are counted later."""
    torch.set_num_threads(settings.threads or torch.get_num_threads())
    compiled = settings.compile == "on" or (settings.compile == "auto" and device.type == "cuda")
    precision = choose(settings.precision, device)
    return Decisions(precision, compiled, torch.get_num_threads(), processes, given=dict(given))


def same_settings(
    recorded: Mapping[str, Any], settings: TrainSettings, out: Path | None, say: Callable[[str], None]
) -> bool:
    """Whether a resumed run keeps its length. ValueError where a setting differs that makes it another run."""
    now = to_data(settings)
    for name in sorted(set(recorded) | set(now)):
        old, new = recorded.get(name), now.get(name)
        if old != new and name not in FREE:
            raise ValueError(
                f"{name} was {old} when {out} was started and is {new} now, which makes it another run; "
                f"set {name}={old} to resume, or name another folder"
            )
        if old != new and name in FELT:
            say(f"{name} was {old} and is {new} now: {FELT[name]}")
    return all(recorded.get(name) == now[name] for name in LENGTHS)


def check_length(settings: TrainSettings, steps: int, *, taken: int, before: int, out: Path | None) -> str:
    """What there is to say of a run of `steps`, of which some are `taken` and which was of `before` steps; "" where
    nothing. ValueError where it has taken more already."""
    if steps < taken:
        raise ValueError(
            f"the run in {out} has taken {taken} steps, and a length of {steps} is asked for: give {taken} or more to "
            "resume it, or name another folder"
        )
    if not 0 < taken < steps or before in (0, steps):
        return ""
    old, new = (settings.rate * rate_factor(*at, settings) for at in ((taken - 1, before), (taken, steps)))
    if new <= old:
        return ""
    return f"steps were {before} and are {steps} now: the rate rises again, from {old:.3g} to {new:.3g}"


def replay(recorded: Decisions, settings: TrainSettings, given: Mapping[str, str], processes: int) -> Decisions:
    """The recorded decisions, for this resume, whose threads are set. ValueError where the caller decided otherwise."""
    if recorded.given != dict(given):
        raise ValueError(f"the run was started with the decisions {recorded.given}, not {dict(given)}; replay them")
    torch.set_num_threads(settings.threads or recorded.threads)
    compiled = {"on": True, "off": False, "auto": recorded.compile}[settings.compile]
    return replace(recorded, compile=compiled, threads=torch.get_num_threads(), processes=processes)
