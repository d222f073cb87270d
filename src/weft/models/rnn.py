"""RNNsearch (Bahdanau, Cho, Bengio 2015): a GRU from each end reads the source, a third one writes, and before each
word it looks for where to read on. The attention that the Transformer was made of.

Each word y comes with weights over the source, made from the state s that wrote so far: c = Σ softmax(v · tanh(W s +
U h)) h, s' = GRU([y; c], s); a row begins with tanh(W h) of the first place's backward state. Where we differ: the
reset gate stands where torch and cuDNN have it (see `weft.nn.GRU`); the maxout layer reads the new state, as the
paper's equation 4 says, not the old one, as its appendix has it; layers have biases, and all but the products of states
begin as Glorot's. A state reads order by itself, and cannot keep documents of a row apart: no schemes, no packing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from weft.models.family import FAMILIES, Family
from weft.nn import Attention, Embed, EncoderDecoder, Full, LMHead, Position, Scheme, Stack, initialise
from weft.nn.branch import Auxiliary, Branch, Slots
from weft.nn.context import Context, Field, Memory
from weft.nn.linear import Linear
from weft.nn.recurrent import GRU, Alignment, BothWays, tokens


@dataclass(frozen=True)
class RNN:
    vocab: int = 30000
    context: int = 50  # the longest sentences that the authors' RNNsearch-50 was trained on; it reads any
    embedding: int = 620  # of words
    width: int = 1000  # of a state
    alignment: int = 1000  # of what weights are made from
    hidden: int = 500  # maxout units, each the larger of two numbers
    dropout: float = 0.0  # of embeddings and of what the head reads


class Search(Branch):
    """The decoder's layer: words [B, T, E] -> what the head reads, [B, T, L]. All products of words are made before the
    loop over places, and all of the maxout layer after it."""

    def __init__(self, c: RNN) -> None:
        super().__init__()
        self.first = Linear(c.width, c.width)
        self.look = Alignment(c.width, 2 * c.width, c.alignment)
        self.cell, self.found = GRU(c.embedding, c.width), Linear(2 * c.width, 3 * c.width, bias=False)
        self.of_state, self.of_word = Linear(c.width, 2 * c.hidden), Linear(c.embedding, 2 * c.hidden, bias=False)
        self.of_memory = Linear(2 * c.width, 2 * c.hidden, bias=False)

    def forward(self, x: Tensor, ctx: Context, slot: Slots = None) -> tuple[Tensor, Auxiliary]:
        sight, present, (rows, length, _) = ctx.sight(self.look.field), tokens(ctx.here, x.shape[0]), x.shape
        if slot is None:
            assert ctx.memory is not None, "there is no sight of a memory without one"
            keys, values = self.look.k(ctx.memory.states), ctx.memory.states  # [B, S, A], [B, S, 2·D]
            state, read = self.begin(ctx.memory), self.found(values)  # [B, S, 3·D]: once, and not for each place
        else:
            (keys, values), state, read = slot["memory"].read(), slot["state"].read().to(x.dtype), None
        if state.shape[0] != rows:
            raise ValueError(f"a memory of {state.shape[0]} rows for {rows} rows of words: give each row its own")
        shown = [None] * length  # of each place what it sees, [M, n, S]
        if sight.allowed is not None:
            seen = sight.allowed.expand(keys.shape[0], sight.share * length, -1)  # [M, n·T, S]
            shown = seen.unflatten(1, (sight.share, length)).unbind(2)
        states, weights = [], []
        for place, from_word in enumerate(self.cell.from_input(x).unbind(1)):  # [B, 3·D]
            p = self.look(state, keys, shown[place])  # [M, n, S]
            found = self.found(p @ values) if read is None else p @ read  # [M, n, 3·D]
            new = self.cell.step(from_word + found.reshape(rows, -1), state)  # [B, D]
            state = new if present is None else torch.where(present[:, place, None], new, state)
            states.append(state)
            weights.append(p)
        made = torch.stack(states, dim=1)  # [B, T, D]
        if slot is not None:
            slot["state"].write(made, present)
        memory = (torch.stack(weights, dim=2).flatten(1, 2) @ values).view(rows, length, -1)  # [B, T, 2·D]
        pairs = self.of_state(made) + self.of_word(x) + self.of_memory(memory)  # [B, T, 2·L]
        return pairs.unflatten(-1, (-1, 2)).amax(dim=-1), None

    def begin(self, memory: Memory) -> Tensor:
        """The state before the first word, [B, D]: of the backward state that has read the whole source."""
        present = tokens(memory.here, memory.states.shape[0])
        place = 0 if present is None else present.long().argmax(dim=1)  # [B]
        row = torch.arange(memory.states.shape[0], device=memory.states.device)
        return self.first(memory.states[row, place].chunk(2, dim=-1)[1]).tanh()

    def slots(self, make: Callable[[Any], Any]) -> Slots:
        return {"state": make(self.cell), "memory": make(self.look)}

    def fill(self, slot: Slots, ctx: Context) -> None:
        assert ctx.memory is not None
        slot["memory"].set(self.look.k(ctx.memory.states), ctx.memory.states)
        slot["state"].set(self.begin(ctx.memory))


def build(c: RNN, *, position: Scheme | None = None, attention: type[Attention] = Attention) -> EncoderDecoder:
    if position not in (None, Scheme()):
        raise ValueError(f"position = {position}, but a recurrent network reads order by itself: leave it out")
    if attention is not Attention:
        raise ValueError(f"attention = {attention.__name__}, but there is no self-attention here: leave it out")
    source, target = (Embed(c.vocab, c.embedding, dropout=c.dropout) for _ in range(2))
    encoder, memory = Stack([BothWays(c.embedding, c.width)], fields={}), Field(Position(), Full(), keys="memory")
    decoder = Stack([Search(c)], fields={"memory": memory}, dropout=c.dropout)
    return EncoderDecoder(source, encoder, target, decoder, head=LMHead(c.hidden, c.vocab, bias=True))


def draw(module: nn.Module, c: RNN) -> None:
    """Products of states are orthogonal, as the authors have them."""
    initialise.xavier(module)
    for gru in (part for part in module.modules() if isinstance(part, GRU)):
        for square in gru.from_state.weight.chunk(3):
            nn.init.orthogonal_(square)


# fmt: off
FAMILIES.register("rnn", Family(
    name="rnn", config=RNN, build=build, initialise=draw,
    sizes={
        "debug": dict(vocab=131, context=64, embedding=40, width=48, alignment=32, hidden=40),
        "small": dict(vocab=4096, context=64, embedding=192, width=256, alignment=256, hidden=192),
        "base": dict(),
    },
    objective="translate", states=lambda c: 2 * c.width, packs=False, swaps=(),
    summary="encoder–decoder of GRUs, additive attention, maxout",
))
