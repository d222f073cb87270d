"""What a masked language model is asked: tokens hidden in a row of text, laid out as it was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from weft.batch import Tokenizer
from weft.data import Template
from weft.hub.frames import frame
from weft.hub.model import Model
from weft.nn import Encoder
from weft.objectives import MaskedTokens
from weft.objectives.turned import mask_of

HEAD = MaskedTokens.asks


@dataclass(frozen=True, eq=False)
class Hiding:
    """A masked language model with what hides a token. mask: the id of what is hidden, see `mask_of`."""

    model: Model
    encoder: Encoder
    tokenizer: Tokenizer
    mask: int

    @classmethod
    def of(cls, model: Model) -> Hiding:
        """ValueError for an encoder that has no head for hidden tokens, no tokenizer, or no id for what is hidden."""
        encoder, tokenizer = model.module, model.need_tokenizer()
        if not isinstance(encoder, Encoder):
            raise ValueError(f"{type(encoder).__name__} is no encoder: it is asked for no hidden tokens")
        if HEAD not in encoder.heads:
            raise ValueError(
                f"the model has {_heads(encoder)} and none called {HEAD!r}, which says what was hidden: take the "
                "folder of the pretrained model, or train one (--objective masked)"
            )
        mask = mask_of(tokenizer)
        if mask >= model.config.vocab:
            raise ValueError(
                f"the tokenizer has no id for a hidden token ([MASK]), and the model no id {mask} behind the "
                f"tokenizer's (it has {model.config.vocab}): take the tokenizer that it was trained with"
            )
        return cls(model, encoder, tokenizer, mask)

    @cached_property
    def template(self) -> Template:
        """What stands around a text (`weft.hub.frames`)."""
        return frame(self.encoder, self.tokenizer)

    @property
    def room(self) -> int:
        """The most tokens of a text that the context holds beside what stands around them."""
        return self.model.config.context - len(self.template.one([])[0])

    @property
    def before(self) -> int:
        """How many tokens stand before a text's first."""
        return len(self.template.before([]))

    def states(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Hidden states [B, T, D] of rows of a text's ids, all of one length, which T is with what stands around
        them. ValueError for ids that do not fit into the context."""
        framed = [self.template.one(row) for row in rows]
        if len(rows[0]) > self.room:
            raise ValueError(
                f"the text has {len(rows[0])} tokens, and the context of {self.model.config.context} has room for "
                f"{self.room} beside what stands around a text: shorten it, or use a model with a longer context"
            )
        device = next(self.encoder.parameters()).device
        tokens = torch.tensor([ids for ids, _ in framed], device=device)  # [B, T]
        types = torch.tensor([types for _, types in framed], device=device)  # [B, T]
        return self.model.encode(tokens, types=types if types.any() else None)

    def logits(self, x: Tensor) -> Tensor:
        """States of hidden tokens [N, D] -> scores of what stood there [N, V], fp32."""
        return self.encoder.logits(x, HEAD).float()

    def nats(self, x: Tensor, labels: Tensor) -> float:
        """Σ -log p(label) of states of hidden tokens [N, D] and what stood there, int64 [N]."""
        return self.encoder.nats(x, labels, HEAD).item()


def _heads(encoder: Encoder) -> str:
    return f"the heads {', '.join(encoder.heads)}" if encoder.heads else "no heads"
