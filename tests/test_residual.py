"""The residual stream: its slots, parallel branches, layers that run again."""

from collections.abc import Callable

import pytest
import torch
from parts import CTX, close, randomised, tiny
from torch import Tensor, nn

from weft.nn import (
    MLP,
    Attention,
    Block,
    Branch,
    Causal,
    Decoder,
    Embed,
    Field,
    LayerNorm,
    Layout,
    LMHead,
    Pre,
    Residual,
    Rope,
    Stack,
    Sum,
)
from weft.nn.context import Context


class Twice(Branch):
    """y = 2x + 1, and an auxiliary term."""

    def forward(self, x: Tensor, ctx: Context, slot: None = None) -> tuple[Tensor, dict[str, Tensor]]:
        return 2 * x + 1, {"size": x.sum()}


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


@pytest.mark.parametrize(
    ("slots", "wanted"),
    [
        ({}, lambda x: x + 2 * x + 1),
        ({"pre": Times(3)}, lambda x: x + 6 * x + 1),
        ({"post": Times(3)}, lambda x: x + 6 * x + 3),
        ({"after": Times(3)}, lambda x: 3 * (x + 2 * x + 1)),
        ({"scale": 0.5}, lambda x: x + x + 0.5),
        ({"scale": Times(5)}, lambda x: x + 10 * x + 5),
        ({"scale": 0.0}, lambda x: x),
        ({"skip": 0.0}, lambda x: 2 * x + 1),
        ({"skip": 4.0, "scale": 3.0, "pre": Times(2), "post": Times(7), "after": Times(11)}, None),
    ],
)
def test_the_residual_and_its_slots(slots: dict, wanted: Callable[[Tensor], Tensor] | None) -> None:
    x = torch.randn(2, 3, 4)
    wanted = wanted or (lambda x: 11 * (4 * x + 3 * 7 * (2 * (2 * x) + 1)))
    y, auxiliary = Residual(Twice(), **slots)(x, CTX)
    close(y, wanted(x))
    assert auxiliary is not None and set(auxiliary) == {"size"}


def test_dropout_falls_on_the_branch_not_on_the_stream() -> None:
    x = torch.ones(1, 1000, 4)
    y = Residual(Twice(), drop=0.5).train()(x, CTX)[0]
    assert set(y.unique().tolist()) == {1.0, 7.0}
    assert torch.equal(Residual(Twice(), drop=0.5).eval()(x, CTX)[0], 4 * x)


class Plus(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1


def test_what_falls_is_the_normalised_branch() -> None:
    """drop(post(y)): where dropout falls, nothing of the branch is left, its norm's bias neither."""
    y = Residual(Twice(), post=Plus(), drop=0.5).train()(torch.ones(1, 1000, 4), CTX)[0]
    assert set(y.unique().tolist()) == {1.0, 9.0}


def test_parallel_branches_and_their_auxiliary_terms() -> None:
    x = torch.randn(2, 3, 4)
    both = Sum(a=Pre(Times(2), Twice()), b=Pre(Times(-1), Twice()))
    y, auxiliary = both(x, CTX)
    close(y, (4 * x + 1) + (-2 * x + 1))
    assert auxiliary is not None
    close(auxiliary["size"], x.sum())
    z, more = Block(ff=Residual(Twice()), both=Residual(both), norm=Times(3))(x, CTX)
    inner = 3 * x + 1
    close(z, 3 * (inner + 2 * inner + 2))
    assert more is not None
    close(more["size"], x.sum() + inner.sum(), 1e-4)


@torch.no_grad()
def test_parallel_branches_are_cached() -> None:
    def layer() -> Block:
        both = Sum(attn=Pre(LayerNorm(16), Attention(16, 4)), mlp=Pre(LayerNorm(16), MLP(16, 24)))
        return Block(both=Residual(both))

    stack = Stack([layer(), layer()], fields={"self": Field(Rope(4), Causal())})
    model = randomised(Decoder(Embed(23, 16), stack, head=LMHead(16, 23)))
    tokens, cache = torch.randint(23, (2, 9)), model.cache(2, 9)
    got = [model(tokens[:, i : i + 1], cache=cache)[0] for i in range(9)]
    close(torch.cat(got, 1), model(tokens)[0], 3e-5)


@pytest.mark.parametrize("order", [[0, 0, 0], [0, 1, 0, 1], [1, 0], [0, 1, 1]], ids=str)
@torch.no_grad()
def test_layers_may_run_again_each_time_with_a_cache_of_its_own(order: list[int]) -> None:
    model, tokens = tiny(order=order), torch.randint(23, (2, 11))
    wanted = model(tokens)[0]
    x = model.embed(tokens, Layout())
    sights = model.stack.sights(x, Context(Layout()), None)
    for layer in order:
        x = model.stack.layers[layer](x, Context(Layout(), None, sights))[0]
    close(wanted, model.stack.norm(x))
    cache = model.cache(2, 20, chunk=3)
    close(torch.cat([model(part, cache=cache)[0] for part in tokens.split(3, 1)], 1), wanted, 3e-5)
    assert len(list(cache.slots())) == len(order)


@pytest.mark.parametrize("upto", [0, 1, 2, -1, -2])
@torch.no_grad()
def test_upto_leaves_out_the_last_layers_and_the_norm(upto: int) -> None:
    model, tokens = tiny(), torch.randint(23, (2, 5))
    x = model.embed(tokens, Layout())
    got, _ = model.stack(x, Context(Layout()), upto=upto)
    sights = model.stack.sights(x, Context(Layout()), None)
    for layer in list(model.stack.layers)[:upto]:
        x = layer(x, Context(Layout(), None, sights))[0]
    close(got, x)
