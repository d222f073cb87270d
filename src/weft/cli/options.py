"""Options that belong together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Drawing:
    """How text is drawn from a model."""

    tokens: int
    temperature: float
    top_k: int
    top_p: float
    beams: int
    seed: int
