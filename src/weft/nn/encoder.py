"""The bare module that reads whole rows and writes nothing: a stem, a stack, and heads by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.nn.activation import activation
from weft.nn.branch import Auxiliary
from weft.nn.context import Context
from weft.nn.embed import LMHead, Types
from weft.nn.layout import Layout
from weft.nn.linear import Linear
from weft.nn.model import check_length
from weft.nn.stack import Stack
from weft.nn.stem import Stem


class Head(nn.Module, ABC):
    """What hidden states are asked. pooled: it reads a vector a row [B, D], else one a token [B, T, D]."""

    pooled: bool = False

    @abstractmethod
    def forward(self, x: Tensor, table: Tensor | None = None) -> Tensor:
        """x [.., D] -> scores [.., C]; table [V, D]: the embeddings, for a tied head."""

    def nats(self, x: Tensor, labels: Tensor, table: Tensor | None = None, *, ignored: int = -100) -> Tensor:
        """Σ -log p(label), fp32, over the labels that are not `ignored`. x [.., D], labels int64 [..]."""
        scores = self(x, table).float().flatten(0, -2)  # [N, C]
        return functional.cross_entropy(scores, labels.flatten(), ignore_index=ignored, reduction="sum")


class TokenHead(Head):
    """out(norm(act(dense(x)))): which token stands, or stood, at each place. x [B, T, D] -> [B, T, V].

    The last step is an `LMHead`; tied, it reads the embeddings. inner: the width of these, where it is not D; norm is
    of that width. bias: of the first step; out_bias: of the last.
    """

    def __init__(
        self, width: int, vocab: int, *, inner: int | None = None, act: str = "gelu", norm: nn.Module,
        tied: bool = True, bias: bool = True, out_bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        inner = width if inner is None else inner
        self.dense, self.act, self.norm = Linear(width, inner, bias=bias), activation(act), norm
        self.out = LMHead(inner, vocab, bias=out_bias, tied=tied)

    def forward(self, x: Tensor, table: Tensor | None = None) -> Tensor:
        return self.out(self.norm(self.dense(x, self.act)), table)  # [B, T, V]

    def nats(self, x: Tensor, labels: Tensor, table: Tensor | None = None, *, ignored: int = -100) -> Tensor:
        """See `LMHead.nats`: all scores are never held."""
        return self.out.nats(self.norm(self.dense(x, self.act)), labels, table, ignored=ignored)


class PlaceHead(Head):
    """out(act(dense(x))): a score a place, above 0: yes (Clark et al. 2020, ELECTRA, §3.2). x [B, T, D] -> [B, T]."""

    def __init__(self, width: int, *, act: str = "gelu") -> None:
        super().__init__()
        self.dense, self.act, self.out = Linear(width, width), activation(act), Linear(width, 1)

    def forward(self, x: Tensor, table: Tensor | None = None) -> Tensor:
        return self.out(self.dense(x, self.act))[..., 0]  # [B, T]

    def nats(self, x: Tensor, labels: Tensor, table: Tensor | None = None, *, ignored: int = -100) -> Tensor:
        """Σ -log p(label), fp32, of labels that are 0 or 1."""
        scores, asked = self(x, table).float(), labels != ignored
        return functional.binary_cross_entropy_with_logits(scores[asked], labels[asked].float(), reduction="sum")


class RowHead(Head):
    """out(pooled): which of `classes` a row is. x [B, D] -> [B, classes]."""

    pooled = True

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.out = Linear(width, classes)

    def forward(self, x: Tensor, table: Tensor | None = None) -> Tensor:
        return self.out(x)  # [B, C]


class SpanHead(Head):
    """token(norm(act(dense(x)))): which token stands in a span, of which only the states just outside it are read and
    how far into it the token stands (Joshi et al. 2020, SpanBERT, §3.2). x [.., 2·D + place], see `read`, -> [.., V].

        encoder.logits(head.read(x[row, first - 1], x[row, last + 1], at - first), "span")  # of the tokens x[row, at]
    """

    def __init__(
        self, token: TokenHead, *, longest: int = 10, place: int = 200, act: str = "gelu", norm: nn.Module
    ) -> None:
        """token: the second layer and the scores; longest: how many offsets have a vector, each of `place` numbers."""
        super().__init__()
        width = token.dense.width_in
        self.places, self.act, self.norm, self.token = Types(longest, place), activation(act), norm, token
        self.dense = Linear(2 * width + place, width)

    def read(self, before: Tensor, behind: Tensor, offset: Tensor) -> Tensor:
        """What the head reads: hidden states [.., D] before the span's first token and behind its last, and the
        token's offset from the first, int64 [..], below `longest` -> [.., 2·D + place]."""
        return torch.cat((before, behind, self.places(offset).to(before.dtype)), dim=-1)

    def forward(self, x: Tensor, table: Tensor | None = None) -> Tensor:
        return self.token(self._within(x), table)  # [.., V]

    def nats(self, x: Tensor, labels: Tensor, table: Tensor | None = None, *, ignored: int = -100) -> Tensor:
        return self.token.nats(self._within(x), labels, table, ignored=ignored)

    def _within(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.dense.width_in:
            raise ValueError(f"a span's head reads {self.dense.width_in} numbers, not {x.shape[-1]}: see SpanHead.read")
        return self.norm(self.dense(x, self.act))  # [.., D]


class Pooler(nn.Module):
    """tanh(dense(x of the first place)): a vector for the row. x [B, T, D] -> [B, D]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x[:, 0]).tanh()  # [B, D]


class RowPooler(nn.Module, ABC):
    """A vector for each row, by what its states were made of, too. x [B, T, D] -> [B, D]."""

    @abstractmethod
    def forward(self, x: Tensor, tokens: Tensor, here: Layout) -> Tensor:
        """tokens int64 [B, T], or vectors [B, T, C]; here: where the states sit."""


class PlacePooler(RowPooler):
    """project(x of one place of each row), which the row's ids and layout tell. x [B, T, D] -> [B, D], or as wide as
    `project` makes it (None: it is left as it is). pairs: it reads two texts in one row, not the first alone."""

    pairs: bool = True

    def __init__(self, project: Linear | None = None) -> None:
        super().__init__()
        self.project = project or nn.Identity()

    @abstractmethod
    def place(self, tokens: Tensor, here: Layout) -> Tensor:
        """Which place: tokens int64 [B, T] -> int64 [B]."""

    def width(self, width: int) -> int:
        """How wide it makes vectors of states of a width."""
        return self.project.width_out if isinstance(self.project, Linear) else width

    def forward(self, x: Tensor, tokens: Tensor, here: Layout) -> Tensor:
        rows = torch.arange(len(x), device=x.device)
        return self.project(x[rows, self.place(tokens, here)])  # [B, D]


class Encoder(nn.Module):
    """embed -> stack, then a head by its name: `logits`, `nats`. Without heads it only encodes.

    A row is read whole, so nothing continues it token by token: there is no cache. pooler: x [B, T, D] -> [B, D], of
    rows that begin at their first place (pad them on the right), or a `RowPooler`. ValueError for a head that reads
    what it would make, where there is none.
    """

    def __init__(
        self, embed: Stem, stack: Stack, heads: Mapping[str, Head] | None = None, *, pooler: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.embed, self.stack, self.pooler = embed, stack, pooler
        self.heads = nn.ModuleDict(heads or {})
        for name, head in (heads or {}).items():
            if head.pooled and pooler is None:
                raise ValueError(f"the head {name!r} reads a row's pooled vector, and there is no pooler: build one")

    @property
    def context(self) -> int | None:
        """The longest row the stem can place; None: any."""
        return self.embed.context

    def forward(
        self, tokens: Tensor, here: Layout | None = None, types: Tensor | None = None
    ) -> tuple[Tensor, Auxiliary]:
        """tokens int64 [B, T] (or vectors [B, T, D]), types int64 [B or 1, T] (None: all 0) -> hidden states [B, T, D]
        and auxiliary terms; of a stem that puts places before a row's own, or joins some, as many as it makes."""
        check_length(self.context, tokens.shape[1])
        x, here = self.embed.read(tokens, here or Layout(), types)
        return self.stack(x, Context(here))

    def pool(self, x: Tensor, tokens: Tensor | None = None, here: Layout | None = None) -> Tensor:
        """Hidden states [B, T, D] -> a vector for each row [B, D]. tokens, here: what they were made of, for a pooler
        that asks it. ValueError where there is no pooler, and where one asks and is told nothing."""
        if self.pooler is None:
            raise ValueError("this encoder has no pooler: take its hidden states, or build it with one")
        if not isinstance(self.pooler, RowPooler):
            return self.pooler(x)
        if tokens is None:
            raise ValueError("this encoder's pooler goes by the row's ids: give pool(x, tokens, here)")
        return self.pooler(x, tokens, self.embed.lay(here or Layout(), tokens.shape[1]))

    def pooled(self, width: int) -> int:
        """How wide `pool` makes vectors of states of a width."""
        return self.pooler.width(width) if isinstance(self.pooler, PlacePooler) else width

    def logits(
        self, x: Tensor, head: str | None = None, *, tokens: Tensor | None = None, here: Layout | None = None
    ) -> Tensor:
        """Hidden states [B, T, D] -> the scores of a head (None: the first one), [B, T, V] or [B, C]. tokens, here: see
        `pool`. ValueError names the heads there are."""
        chosen = self._head(head)
        return chosen(self.pool(x, tokens, here) if chosen.pooled else x, self.embed.weight)

    def nats(
        self, x: Tensor, labels: Tensor, head: str | None = None, *, ignored: int = -100,
        tokens: Tensor | None = None, here: Layout | None = None,
    ) -> Tensor:  # fmt: skip
        """Σ -log p(label) under a head (None: the first one), fp32, of hidden states [B, T, D]; labels int64 [B, T], or
        [B] for a head that reads the pooled vector. tokens, here: see `pool`."""
        chosen = self._head(head)
        read = self.pool(x, tokens, here) if chosen.pooled else x  # [B, T, D], or [B, D]
        return chosen.nats(read, labels, self.embed.weight, ignored=ignored)

    def _head(self, name: str | None) -> Head:
        if not self.heads:
            raise ValueError("this encoder has no head, so nothing is scored: take its hidden states")
        name = next(iter(self.heads)) if name is None else name
        if name not in self.heads:
            raise ValueError(f"no head is called {name!r}; there are {', '.join(self.heads)}")
        head = self.heads[name]
        assert isinstance(head, Head)
        return head
