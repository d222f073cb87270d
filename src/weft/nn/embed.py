"""Tokens to vectors and back."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.nn.dropout import Dropout
from weft.nn.layout import Layout
from weft.nn.linear import product
from weft.nn.nats import linear_nats
from weft.nn.position import LookupTable, StemPosition
from weft.nn.stem import Stem
from weft.nn.tap import Tap


class Types(LookupTable, nn.Module):
    """weight[type]: a trained vector for each type of token; weight [types, D]."""

    def __init__(self, types: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(types, width))
        self.reset()

    def forward(self, types: Tensor | None) -> Tensor:
        """types int64 [B or 1, T] -> [B or 1, T, D]; None, where all are of type 0 -> [D]."""
        return self.weight[0] if types is None else functional.embedding(types, self.weight)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]} x {self.weight.shape[1]}"


class Embed(Stem):
    """lift(drop(norm(position.add(scale · weight[tokens]) + types[type]))). tokens int64 [B, T] -> [B, T, D]; weight
    [V, D], or of the narrower width that `lift` widens (ALBERT, ELECTRA).

    own=False: the table is another module's and is handed in at each call, so that there is never a second copy.
    scale: a number, or a module in its place (Gemma's is rounded as the table is).
    types: how many kinds of token there are (BERT's first and second sentence), each with a trained vector; 0: none.
    Under autocast the residual stream starts in the autocast precision.
    """

    table = True  # rows are looked up: the optimiser treats it as an embedding

    def __init__(
        self, vocab: int, width: int, *, position: StemPosition | None = None, scale: float | nn.Module = 1.0,
        norm: nn.Module | None = None, dropout: float = 0.0, own: bool = True, types: int = 0,
        lift: nn.Module | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.vocab, self.width, self.channels, self.scale = vocab, width, width, scale
        self.weight = nn.Parameter(torch.empty(vocab, width)) if own else None
        self.types = Types(types, width) if types else None
        self.position = position or StemPosition()
        self.norm, self.drop = norm or nn.Identity(), Dropout(dropout)
        self.lift, self.embedded = lift or nn.Identity(), Tap()
        self.reset()

    def reset(self) -> None:
        if self.weight is not None:
            nn.init.normal_(self.weight, std=0.02)

    def forward(
        self, tokens: Tensor, here: Layout, weight: Tensor | None = None, types: Tensor | None = None
    ) -> Tensor:
        """tokens int64 [B, T] -> [B, T, D]; vectors [B, T, D] (from an image, a prompt) are taken for the table's.

        types: int64 [B or 1, T], each token's; None: all are of type 0. ValueError where there are none to tell apart.
        """
        x, here = tokens, here.numbered(tokens.shape[1], tokens.device)
        if not tokens.is_floating_point():
            table = self.weight if weight is None else weight
            assert table is not None, "this embedding owns no table: hand one in"
            x = functional.embedding(tokens, table)  # [B, T, D]
            here = self.position.place(tokens, here)
        if isinstance(self.scale, nn.Module):
            x = self.scale(x)
        elif self.scale != 1.0:
            x = x * self.scale
        x = self.position.add(x, here)
        if self.types is not None:
            x = x + self.types(types).to(x.dtype)
        elif types is not None:
            raise ValueError("token types were given, but this embedding has none: leave them out")
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return self.embedded(self.lift(self.drop(self.norm(x))))

    def extra_repr(self) -> str:
        return f"{self.vocab} x {self.width}{'' if self.weight is not None else ', shared'}"


class LMHead(nn.Module):
    """scale · x Wᵀ + bias, scores over the vocabulary: x [B, T, D] -> [B, T, V]; weight [V, D].

    softcap c: scores become c · tanh(scores / c) (Gemma 2). A tied head owns no weight and is handed the embedding's at
    each call.
    """

    table = True

    def __init__(
        self, width: int, vocab: int, *, bias: bool = False, tied: bool = False, scale: float = 1.0,
        softcap: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if softcap is not None and not softcap > 0:
            raise ValueError(f"head_softcap = {softcap}, but scores are capped at a number above 0 (None: not at all)")
        self.width, self.vocab, self.scale, self.softcap = width, vocab, scale, softcap
        self.weight = None if tied else nn.Parameter(torch.empty(vocab, width))
        self.bias = nn.Parameter(torch.empty(vocab)) if bias else None
        self.scores = Tap()
        self.reset()

    def reset(self) -> None:
        if self.weight is not None:
            nn.init.normal_(self.weight, std=0.02)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        if self.scale != 1.0:
            x = x * self.scale
        scores = product(x, self._table(weight), self.bias)  # [B, T, V]
        if self.softcap is not None:
            scores = self.softcap * torch.tanh(scores / self.softcap)
        return self.scores(scores)

    def nats(self, x: Tensor, labels: Tensor, weight: Tensor | None = None, *, ignored: int = -100) -> Tensor:
        """-log p(label), summed in fp32 over the labels that are not `ignored`. x [B, T, D], labels int64 [B, T]. It
        never holds all scores, see `linear_nats`, unless somebody listens to them or they are capped."""
        flat, wanted = x.flatten(0, -2), labels.flatten()  # [N, D], [N]
        if not self.scores.active and self.softcap is None:
            flat = flat * self.scale if self.scale != 1.0 else flat
            return linear_nats(flat, self._table(weight), wanted, self.bias, ignored=ignored)
        scores = self(flat, weight).float()  # [N, V]
        return functional.cross_entropy(scores, wanted, ignore_index=ignored, reduction="sum")

    def _table(self, weight: Tensor | None) -> Tensor:
        table = weight if self.weight is None else self.weight
        assert table is not None, "a tied head is handed the embedding's weight"
        return table

    def extra_repr(self) -> str:
        return f"{self.width} -> {self.vocab}{', tied' if self.weight is None else ''}"
