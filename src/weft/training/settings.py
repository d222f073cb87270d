"""What a person may set about a training run. Plain data: importing this file does not import torch."""

import math
from dataclasses import dataclass, fields
from types import NoneType
from typing import Literal, get_args, get_origin, get_type_hints

LENGTHS = ("steps", "tokens", "epochs", "minutes")


@dataclass(frozen=True)
class TrainSettings:
    """One training run. Steps are always optimiser steps, so that no figure depends on accumulation."""

    # how long: exactly one of the four
    steps: int = 0
    tokens: int = 0  # read, padding left out; about so many where rows are ragged; not of samples of one's own
    epochs: float = 0.0
    minutes: float = 0.0  # of training steps; they become steps at the start, by a measured rate
    # a step
    batch: int = 16  # rows per step, over all processes and micro-batches
    micro_batches: int = 1  # parts in which the rows of a step go through the model, on each process
    clip: float = 1.0  # largest gradient norm; 0 = off
    frozen: tuple[str, ...] = ()  # parts of the model that are not trained and drop nothing out: text, image.stack
    # the optimiser
    optimiser: Literal["adamw", "muon"] = "adamw"
    rate: float = 1e-3  # peak learning rate
    muon_rate: float = 0.0  # muon: peak rate of its matrices; 0 = the same as rate, which its scaling makes right
    weight_decay: float = 0.1  # decoupled, times the rate; vectors (norms, biases, gains) take none
    beta1: float = 0.9
    beta2: float = 0.95
    # the rate over the run
    warmup: int | None = None  # steps; none = a tenth of them, at most 100
    schedule: Literal["cosine", "linear", "constant", "wsd", "inverse_sqrt"] = "cosine"
    floor: float = 0.1  # fraction of the peak at the end
    cooldown: float = 0.2  # wsd: the share of the run, at its end, in which the rate falls
    # what the finished weights are: the last ones, or one of these
    average: float = 0.0  # decay of an exponential moving average of the weights; 0 = none
    last: int = 0  # the mean of so many last checkpoints; 0 = none
    best: str = ""  # the checkpoint where this figure of the evaluator's was lowest; "" = none
    highest: bool = False  # where it was highest
    patience: int = 0  # evaluations in a row without a better one, after which the run ends early; 0 = never
    # how it is computed; what is measured is decided once, recorded and replayed on resume
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    kernel: Literal["measured", "eager", "matmul", "sdpa", "blocked"] = "measured"  # of attention
    compile: Literal["auto", "on", "off"] = "auto"  # auto: on for a GPU; off for a CPU, where it gains nothing
    recompute: bool = False  # activations are computed again in the backward pass: less memory, a third more work
    device: str = "auto"  # auto: a GPU where there is one; else cpu, cuda, cuda:1, mps
    parallel: Literal["ddp", "fsdp"] = "ddp"  # under torchrun: weights whole on each process, or in shares
    seed: int = 0
    threads: int = 0  # 0 = torch's choice
    workers: int = 0  # threads that read ahead, in the same order; they read one's own data set several at once
    # what is kept
    log_every: int = 1  # steps between lines of log.jsonl
    evaluate_every: int = 0  # 0 = only at the end
    checkpoint_every: int = 500  # 0 = only at the end
    keep: int = 2  # newest checkpoints kept, besides the best
    background: bool = True  # checkpoints are written while training goes on, from a copy in memory

    def warmup_steps(self, steps: int) -> int:
        """The steps of warm-up of a run of `steps`, as set or by default."""
        return min(100, steps // 10) if self.warmup is None else self.warmup

    def check(self) -> None:
        """Raise ValueError on values that cannot be meant."""
        self._check_types()
        self._check_length()
        self._check_numbers()
        self._check_effects()
        for name, known in choices(TrainSettings).items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it is one of {', '.join(known)}")
        if self.batch % self.micro_batches:
            raise ValueError(
                f"a batch of {self.batch} rows does not split into {self.micro_batches} equal micro_batches; "
                f"set batch={-(-self.batch // self.micro_batches) * self.micro_batches} or another micro_batches"
            )
        final = [name for name in ("average", "last", "best") if getattr(self, name)]
        if len(final) > 1:
            raise ValueError(f"{' and '.join(final)} each say what the finished weights are: set one of them")
        if self.last > self.keep:
            raise ValueError(
                f"last={self.last} checkpoints cannot be averaged where keep={self.keep}: set keep={self.last}"
            )

    def check_warmup(self, steps: int) -> None:
        """ValueError where the warm-up is longer than a run of `steps`."""
        if self.warmup_steps(steps) > steps:
            raise ValueError(
                f"warmup {self.warmup} is longer than the whole run of {steps} steps; "
                f"set warmup={steps // 10} or more steps"
            )

    def _check_types(self) -> None:
        kinds = {int: (int,), float: (int, float), str: (str,), bool: (bool,), int | None: (int, NoneType)}
        kinds |= {tuple[str, ...]: (tuple,)}
        for name, hint in get_type_hints(TrainSettings).items():
            value, known = getattr(self, name), kinds.get(hint, (str,))  # else one of a few words
            if not isinstance(value, known) or (isinstance(value, bool) and hint is not bool):
                words = " or ".join(kind.__name__ for kind in known if kind is not NoneType)
                raise ValueError(f"{name} is {value!r}, a {type(value).__name__}; it must be {words}")

    def _check_length(self) -> None:
        for name in LENGTHS:
            _between(name, getattr(self, name), 0)
        given = [name for name in LENGTHS if getattr(self, name)]
        if len(given) != 1:
            said = ", ".join(f"{name}={getattr(self, name)}" for name in given) or "nothing"
            raise ValueError(f"a run's length is one of steps, tokens, epochs and minutes, above 0; given: {said}")
        if self.steps:
            self.check_warmup(self.steps)

    def _check_numbers(self) -> None:
        for name in ("batch", "micro_batches", "log_every", "keep"):
            _between(name, getattr(self, name), 1)
        _between("warmup", self.warmup or 0, 0)
        for name, most in (("threads", 1024), ("workers", 64), ("seed", 2**63 - 1)):
            _between(name, getattr(self, name), 0, most)
        for name in (
            "evaluate_every",
            "checkpoint_every",
            "last",
            "patience",
            "muon_rate",
            "weight_decay",
            "clip",
            "rate",
        ):
            _between(name, getattr(self, name), 0)
        if self.rate == 0:
            raise ValueError("rate is 0, so nothing would be learned; set a peak learning rate, 1e-3 for a small model")
        for name in ("beta1", "beta2", "average", "floor", "cooldown"):
            value, closed = getattr(self, name), name in ("floor", "cooldown")
            if not (0 <= value < 1 or (closed and value == 1)):
                limit = "at most 1" if closed else "below 1"
                raise ValueError(f"{name} is {value}; it is a fraction: at least 0 and {limit}")

    def _check_effects(self) -> None:
        """ValueError for what is set and would not be read."""
        for name, reader, only in (("muon_rate", "optimiser", "muon"), ("cooldown", "schedule", "wsd")):
            value, usual, chosen = getattr(self, name), getattr(TrainSettings, name), getattr(self, reader)
            if value != usual and chosen != only:
                raise ValueError(
                    f"{name}={value} says something of {reader}={only} alone, and {reader} is {chosen}: "
                    f"set {reader}={only}, or leave {name} at {usual}"
                )
        for name, reader in (("highest", "best"), ("patience", "best"), ("patience", "evaluate_every")):
            if getattr(self, name) and not getattr(self, reader):
                raise ValueError(
                    f"{name} says something of runs with {reader} alone: set {reader}, or leave {name} out"
                )


def choices(settings: type) -> dict[str, tuple[str, ...]]:
    """The settings that are one of a few words, and the words."""
    hints = get_type_hints(settings)
    return {f.name: get_args(hints[f.name]) for f in fields(settings) if get_origin(hints[f.name]) is Literal}


def _between(name: str, value: float, least: float, most: float = math.inf) -> None:
    if not math.isfinite(value) or value < least:
        raise ValueError(f"{name} is {value}; it must be a finite number, at least {least}")
    if value > most:
        raise ValueError(f"{name} is {value}; it must be at most {most}")
