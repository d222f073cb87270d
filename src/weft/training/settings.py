"""What a person may set about a training run. Plain data: importing this file does not import torch."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainSettings:
    """One training run. Steps are always optimiser steps, so that no figure depends on accumulation."""

    steps: int = 2000
    batch: int = 16  # rows per step
    micro_batches: int = 1  # parts in which the rows of a step go through the model
    optimiser: Literal["adamw", "muon"] = "adamw"
    rate: float = 1e-3  # peak learning rate
    muon_rate: float = 0.0  # peak rate of Muon's matrices; 0 = the same as rate, which its scaling makes right
    weight_decay: float = 0.1  # decoupled, times the rate; vectors (norms, biases) take none
    beta1: float = 0.9
    beta2: float = 0.95
    warmup: int | None = None  # steps; none = a tenth of them, at most 100
    decay: Literal["cosine", "linear", "constant"] = "cosine"
    floor: float = 0.1  # fraction of the peak at the end
    clip: float = 1.0  # largest gradient norm; 0 = off
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    kernel: Literal["measured", "eager", "matmul", "sdpa", "blocked"] = "measured"  # of attention
    seed: int = 0
    threads: int = 0  # 0 = torch's choice
    log_every: int = 1  # steps between lines of log.jsonl
    evaluate_every: int = 0  # 0 = only at the end
    checkpoint_every: int = 500  # 0 = only at the end
    keep: int = 2  # checkpoints kept

    @property
    def warmup_steps(self) -> int:
        """The steps of warm-up, as set or by default."""
        return min(100, self.steps // 10) if self.warmup is None else self.warmup

    def check(self) -> None:
        """Raise ValueError on values that cannot be meant."""
        for name in ("steps", "batch", "micro_batches", "log_every", "keep"):
            _at_least(name, getattr(self, name), 1)
        _at_least("warmup", self.warmup_steps, 0)
        for name, most in (("threads", 1024), ("seed", 2**63 - 1)):
            if getattr(self, name) > most:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at most {most}")
        for name in ("threads", "evaluate_every", "checkpoint_every", "seed"):
            _at_least(name, getattr(self, name), 0)
        for name in ("muon_rate", "weight_decay", "clip", "rate"):
            _at_least(name, getattr(self, name), 0.0)
        if self.rate == 0:
            raise ValueError("rate is 0, so nothing would be learned; set a peak learning rate, 1e-3 for a small model")
        for name in ("beta1", "beta2", "floor"):
            value = getattr(self, name)
            limit = "at most 1" if name == "floor" else "below 1"
            if not (0 <= value < 1 or (name == "floor" and value == 1)):
                raise ValueError(f"{name} is {value}; it is a fraction: at least 0 and {limit}")
        self._check_choices()
        if self.batch % self.micro_batches:
            raise ValueError(
                f"a batch of {self.batch} rows does not split into {self.micro_batches} equal micro_batches; "
                f"set batch={-(-self.batch // self.micro_batches) * self.micro_batches} or another micro_batches"
            )
        if self.warmup_steps > self.steps:
            raise ValueError(
                f"warmup {self.warmup} is longer than the whole run of {self.steps} steps; "
                f"set warmup={self.steps // 10} or more steps"
            )

    def _check_choices(self) -> None:
        choices = {
            "optimiser": ("adamw", "muon"),
            "decay": ("cosine", "linear", "constant"),
            "precision": ("auto", "bf16", "fp32"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it is one of {', '.join(known)}")


def _at_least(name: str, value: float, least: float) -> None:
    if not math.isfinite(value) or value < least:
        raise ValueError(f"{name} is {value}; it must be a finite number, at least {least}")
