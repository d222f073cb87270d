"""Which class a row as a whole is of, asked of a head of the model's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from weft.batch import Batch
from weft.nn import Encoder
from weft.objectives.loss import TERM, Loss
from weft.objectives.reading import Headed, Reading, passed
from weft.objectives.wrapped import bare

SMOOTHING = "smoothing"  # the term of what smoothed labels add


@dataclass(frozen=True)
class Classes(Reading):
    """-log p of a row's class, `asked["label"]` int64 [B], by the head "classes".

    smoothing ε: the total is that against (1 - ε) · the label + ε · all classes alike (Szegedy et al. 2016): the term
    "smoothing", weighed by ε, is how far the label's score lies above the mean of all. Held-out figures are of -log p.
    """

    of_signals = True
    asks = "classes"
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing = {self.smoothing}, but labels are smoothed by at least 0 and below 1")

    def counts(self, batch: Batch) -> dict[str, int]:
        """Its rows."""
        return {TERM: len(batch.tokens)} | ({SMOOTHING: len(batch.tokens)} if self.smoothing else {})

    def answers(self, batch: Batch) -> Tensor:
        """The classes."""
        return batch.asked["label"]

    def guesses(self, module: Any, batch: Batch) -> Tensor:
        """The likeliest classes."""
        return self.scores(module, batch).argmax(dim=-1)

    def scores(self, module: Any, batch: Batch) -> Tensor:
        """Of every class, fp32 [B, C]."""
        encoder = bare(module)
        assert isinstance(encoder, Encoder)
        return encoder.logits(passed(module, batch), self.asks).float()

    def terms(self, module: Encoder | Headed, x: Tensor, batch: Batch) -> dict[str, Loss]:
        """The terms "loss" and, where labels are smoothed, "smoothing"."""
        labels = batch.asked["label"]
        if not self.smoothing:
            return {TERM: Loss(module.nats(x, labels, self.asks), len(labels))}
        encoder = bare(module)
        assert isinstance(encoder, Encoder)
        scores = encoder.logits(x, self.asks).float()  # [B, C]
        above = scores.gather(1, labels[:, None])[:, 0] - scores.mean(dim=1)  # [B]
        nats = functional.cross_entropy(scores, labels, reduction="sum")
        return {TERM: Loss(nats, len(labels)), SMOOTHING: Loss(above.sum(), len(labels), self.smoothing)}
