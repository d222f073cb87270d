"""What there is to say of one step."""

from dataclasses import dataclass

# the fields that depend on the clock and the machine; all others are the same in an interrupted and a whole run
MEASURED = ("seconds", "tokens_per_second", "gflops", "memory")


@dataclass(frozen=True)
class Record:
    """One step; a line of the log."""

    step: int  # steps done, this one included
    loss: float | None  # None where the step was skipped
    terms: dict[str, float]  # the losses by name, unweighted
    rate: float
    norm: float  # of the gradient, before clipping
    tokens: int  # read since the run began, padding left out; of `unit`
    seconds: float  # spent in steps since the run began
    tokens_per_second: float  # of this step
    gflops: float | None = None  # 1e9 operations a second of the forward and backward passes; None = not counted
    memory: int | None = None  # bytes, the most so far: of the GPU, else of this process; None = not known
    unit: str = "tokens"  # what is counted: "rows" where nobody knows how many tokens a sample has
