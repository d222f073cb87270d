"""A model with one linear layer beside it, which reads its states or a vector pooled of them: what is fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, overload

import torch
from torch import Tensor

from weft.batch import IGNORED, Batch
from weft.nn import Auxiliary, Decoder, Dropout, Encoder, EncoderDecoder, Linear, Stack
from weft.objectives.reading import types_of
from weft.objectives.wrapped import Wrapped
from weft.objectives.writing import layout

MODEL = "model."  # what the names of the model's tensors begin with
UNASKED = ("head", "heads", "target", "decoder")  # of a model: nobody asks them here, so that they do not train
Pooling = Literal["pooler", "first", "mean", "last"]


class WithHead(Wrapped):
    """out(drop(pooled)), or of every token out(drop(x)).

    pooling: what is read of a row: "pooler", the vector of the encoder's own pooler; the state of its "first" or "last"
    token, or their "mean"; None: each token's state. Of an encoder–decoder its encoder is what reads the row (Ni et al.
    2022, Sentence-T5; others ask the decoder after it has read the row, too), and its decoder stays as it is.
    """

    def __init__(
        self,
        model: Encoder | Decoder | EncoderDecoder,
        width: int,
        outputs: int,
        *,
        pooling: Pooling | None,
        dropout: float,
    ) -> None:
        super().__init__(model)
        self.pooling = pooling
        self.drop, self.out = Dropout(dropout), Linear(width, outputs)

    @overload
    def forward(self, batch: Batch) -> Tensor: ...
    @overload
    def forward(self, batch: Batch, *, language: Literal[True]) -> tuple[Tensor, Tensor]: ...
    def forward(self, batch: Batch, *, language: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Scores of a batch's rows: [B, C], or [B, T, C] where there is no pooling; with `language` also the sum of
        -log p of the tokens that follow one in their row. ValueError where the model has auxiliary terms, which nobody
        would weigh."""
        x, auxiliary = self._states(batch)  # [B, T, D]
        if auxiliary and self.training:
            raise ValueError(f"nobody weighs the model's auxiliary terms {', '.join(auxiliary)}: tune another model")
        read = x
        if self.pooling == "pooler":
            read = self.model.pool(x, batch.tokens, layout(batch))  # [B, D]
        elif self.pooling is not None:
            read = pooled(x, batch, self.pooling)  # [B, D]
        scores = self.out(self.drop(read))  # [B, C] or [B, T, C]
        if not language:
            return scores
        following = batch.tokens[:, 1:].masked_fill(real(batch)[:, 1:] == 0, IGNORED)  # [B, T - 1]
        return scores, self.model.nats(x[:, :-1], following, ignored=IGNORED)

    def _states(self, batch: Batch) -> tuple[Tensor, Auxiliary]:
        """The states [B, T, D] of what reads a row."""
        if isinstance(self.model, EncoderDecoder):
            return self.model.encode(batch.tokens, layout(batch)).states, None
        types = (types_of(self.model, batch),) if isinstance(self.model, Encoder) else ()
        return self.model(batch.tokens, layout(batch), *types)

    @property
    def reader(self) -> Stack:
        """The layers that read a row."""
        return self.model.encoder if isinstance(self.model, EncoderDecoder) else self.model.stack

    def freeze(self, layers: int | None) -> None:
        """Let train what is read: of the model all (None), nothing (0), or its last `layers` layers and what comes
        after them; never what nobody asks here (its own heads, a decoder behind the encoder). ValueError where it has
        not so many."""
        for name, part in self.model.named_children():
            if name in UNASKED or (name == "pooler" and self.pooling != "pooler"):
                part.requires_grad_(False)
        if layers is None:
            return
        stack, pooler = self.reader, [self.model.pooler] if self.pooling == "pooler" else []
        if not 0 <= layers <= len(stack.layers):
            raise ValueError(
                f"layers={layers}, and this model has {len(stack.layers)} with weights of their own: choose so many or "
                "fewer, head for none of them, all for the whole model"
            )
        self.model.requires_grad_(False)
        if layers:
            for part in (*stack.layers[-layers:], stack.norm, *pooler):
                part.requires_grad_(True)


def beside(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of the tensors of a `WithHead` by name those that are not the model's: the head's."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(MODEL)}


def real(batch: Batch) -> Tensor:
    """Where a batch holds tokens, int64 [B, T] of 0 and 1."""
    return torch.ones_like(batch.tokens) if batch.segments is None else (batch.segments > 0).long()  # [B, T]


def pooled(x: Tensor, batch: Batch, how: str) -> Tensor:
    """The mean of the states x [B, T, D] of rows padded on the right, or their first's or last's: fp32 [B, D]."""
    here = real(batch)  # [B, T]
    if how == "mean":
        return (x.float() * here[..., None]).sum(dim=1) / here.sum(dim=1, keepdim=True).clamp(min=1)  # [B, D]
    place = here.sum(dim=1) - 1 if how == "last" else torch.zeros_like(here[:, 0])  # [B]
    return x.float()[torch.arange(len(x), device=x.device), place.clamp(min=0)]  # [B, D]
