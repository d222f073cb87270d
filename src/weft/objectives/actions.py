"""What was done at each timestep (Chen et al. 2021, Decision Transformer)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from weft.batch import IGNORED, Batch
from weft.nn import Encoder
from weft.nn.vectors import VectorHead
from weft.objectives.loss import TERM, Loss, entropy
from weft.objectives.reading import Headed, Reading, head_of
from weft.objectives.wrapped import bare


def asked_places(batch: Batch) -> Tensor:
    """Where rows of vectors are asked, bool [B, T]: of what is there, all, or what has a label that is not IGNORED."""
    there = torch.ones(batch.tokens.shape[:2], dtype=torch.bool, device=batch.tokens.device)
    if batch.segments is not None:
        there = batch.segments > 0
    return there if batch.labels is None else there & (batch.labels != IGNORED)


@dataclass(frozen=True)
class Actions(Reading):
    """What was done at each timestep, told by the head "action" from the return that was still to come, the state, and
    the past: the squared error of an action, as the mean over its numbers, or -log p of which one it was, as the head
    tells numbers or scores (§3, "Training").

    Actions stand at the end of each vector [return to go | state | action]: their numbers, or 1 at the number of the
    one that was taken and 0 elsewhere. A label that is IGNORED takes a timestep out; of others only that they are
    there counts. Padding is not asked.
    """

    of_signals = True
    asks = "action"

    def counts(self, batch: Batch) -> dict[str, int]:
        """The timesteps that are asked."""
        return {TERM: int(asked_places(batch).sum())}

    def answers(self, batch: Batch) -> None:
        """None: how much of a vector is action is the model's to say."""

    def constant(self, module: Any, batches: Iterable[Batch]) -> float | None:
        """What the mean action pays, or the shares of all actions."""
        head, encoder = head_of(module, self.asks), bare(module)
        assert isinstance(encoder, Encoder)
        taken = [self._taken(head, batch)[asked_places(batch)] for batch in batches]  # [n, A] each
        if not sum(map(len, taken)):
            return None
        if not isinstance(head, VectorHead):
            return entropy(one.argmax(dim=-1) for one in taken)
        actions = torch.cat(taken).double()  # [N, A]
        return float((actions - actions.mean(dim=0)).square().mean())

    def terms(self, module: Encoder | Headed, x: Tensor, batch: Batch) -> dict[str, Loss]:
        """The term "loss"."""
        encoder, head, places = bare(module), head_of(module, self.asks), asked_places(batch)
        assert isinstance(encoder, Encoder)
        told, taken = encoder.logits(x, self.asks)[places].float(), self._taken(head, batch)[places].float()  # [N, A]
        if isinstance(head, VectorHead):
            paid = (told - taken).square().mean(dim=-1).sum()
        else:
            paid = functional.cross_entropy(told, taken.argmax(dim=-1), reduction="sum")
        return {TERM: Loss(paid, int(places.sum()))}

    def _taken(self, head: Any, batch: Batch) -> Tensor:
        """The actions that stand in the vectors, [B, T, A]."""
        return batch.tokens[..., -head.out.width_out :]
