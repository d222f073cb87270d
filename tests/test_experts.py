"""Feed-forwards of which each token takes a few: what they compute, their gradient, their balance, training them."""

from dataclasses import replace

import pytest
import torch
from representatives import decoder_rows, without_dropout
from torch import Tensor

from weft.batch import IGNORED, Batch
from weft.data.order import places
from weft.models import FAMILIES, Blueprint
from weft.nn import GLU, Context, Experts, Layout, balance
from weft.objectives import NextToken
from weft.training.loop import train

COUNTS = [(4, 2), (5, 1), (3, 3)]


def experts(count: int, top: int, *, bias: bool = False) -> Experts:
    torch.manual_seed(count)
    return Experts(6, [GLU(6, 7, bias=bias) for _ in range(count)], top=top, bias=bias)


def slow(part: Experts, x: Tensor) -> Tensor:
    """The definition, token by token."""
    out = torch.zeros_like(x)
    for row in range(x.shape[0]):
        for place in range(x.shape[1]):
            token = x[row, place]
            scores = part.router(token)  # [E]
            chosen = scores.argsort(descending=True)[: part.top]
            for share, number in zip(scores[chosen].softmax(0), chosen, strict=True):
                expert = part.experts[int(number)]
                out[row, place] += share * expert(token[None, None], Context(Layout()))[0][0, 0]
    return out


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("count", "top"), COUNTS)
def test_each_token_takes_its_best_experts(count: int, top: int, bias: bool) -> None:
    part, x = experts(count, top, bias=bias), torch.randn(2, 5, 6, requires_grad=True)
    (got, extra), wanted = part.eval()(x, Context(Layout())), slow(part, x)
    assert extra is None and torch.allclose(got, wanted, atol=1e-6)
    inputs, weights = [x, *part.parameters()], torch.randn(2, 5, 6)
    ours, theirs = (torch.autograd.grad((y * weights).sum(), inputs, allow_unused=True) for y in (got, wanted))
    for a, b in zip(ours, theirs, strict=True):  # an expert that nobody chose has no gradient, or one of zeros
        assert torch.allclose(torch.zeros(1) if a is None else a, torch.zeros(1) if b is None else b, atol=1e-5)


def test_more_experts_than_there_are_are_refused() -> None:
    for top in (0, 4):
        with pytest.raises(ValueError, match=f"each token takes {top} of 3 experts"):
            experts(3, top)


@pytest.mark.parametrize(("count", "top"), COUNTS)
def test_balance_is_the_reference_s(count: int, top: int) -> None:
    """Over two layers, of tokens that are there."""
    mixtral = pytest.importorskip("transformers.models.mixtral.modeling_mixtral")
    layers, x = [experts(count, top).train() for _ in range(2)], torch.randn(3, 7, 6)
    for lengths in (None, torch.tensor([7, 1, 4])):
        here = Layout() if lengths is None else Layout.ragged(lengths, 7)
        mask = None if here.segments is None else here.segments
        terms = [layer(x, Context(here))[1]["balance"] for layer in layers]
        scores = tuple(layer.router(x).flatten(0, 1) for layer in layers)
        wanted = mixtral.load_balancing_loss_func(scores, count, top, mask)
        got = balance(terms[0] + terms[1])
        assert float(got.detach()) == pytest.approx(float(wanted.detach()), rel=1e-6)
        weights = [layer.router.weight for layer in layers]
        for a, b in zip(torch.autograd.grad(got, weights), torch.autograd.grad(wanted, weights), strict=True):
            assert torch.allclose(a, b, atol=1e-6)


def test_packed_rows_are_balanced_as_rows_of_their_own() -> None:
    part, x = experts(4, 2).train(), torch.randn(1, 9, 6)
    packed = Layout(segments=torch.tensor([[1] * 4 + [2] * 3 + [0] * 2]))
    (y, whole), pieces = part(x, Context(packed)), [part(piece, Context(Layout())) for piece in (x[:, :4], x[:, 4:7])]
    assert torch.allclose(y[:, :7], torch.cat([piece for piece, _ in pieces], dim=1), atol=1e-6)
    assert torch.allclose(whole["balance"], sum(extra["balance"] for _, extra in pieces), atol=1e-6)


def module_and_batch(family: str = "mixtral", **changes: object) -> tuple[torch.nn.Module, Batch]:
    module = Blueprint.of(family, "debug", **changes).build().train()
    tokens = torch.randint(131, (2, 9), generator=torch.Generator().manual_seed(0))
    return module, Batch(tokens[:, :-1], tokens[:, 1:])


def test_the_objective_weighs_it() -> None:
    module, batch = module_and_batch()
    objective = NextToken(balance=0.25)
    losses = objective.losses(module, batch)
    assert {name: loss.count for name, loss in losses.items()} == objective.counts(batch) == {"loss": 16, "balance": 16}
    assert losses["balance"].weight == 0.25 and objective.couples == ("balance",)
    _, extra = module(batch.tokens)
    assert float(losses["balance"].sum.detach()) / 16 == pytest.approx(float(balance(extra["balance"]).detach()))
    with pytest.raises(ValueError, match="no weights for the model's auxiliary terms balance"):
        NextToken().losses(module, batch)
    with pytest.raises(ValueError, match="balance = -1"):
        NextToken(balance=-1.0)
    assert (
        float(objective.losses(module.eval(), batch)["balance"].sum.detach()) == 0.0
    )  # nothing is trained: no balance


def test_a_batch_without_labels_balances_nothing() -> None:
    module, batch = module_and_batch()
    nothing = replace(batch, labels=torch.full_like(batch.tokens, IGNORED))
    loss = NextToken(balance=1.0).losses(module, nothing)["balance"]
    assert loss.count == 0 and float(loss.sum.detach()) == 0.0 and loss.sum.requires_grad


@pytest.mark.parametrize("family", ["mixtral", "gpt_oss"])
def test_a_family_of_experts_says_what_their_balance_weighs(family: str) -> None:
    config = Blueprint.of(family, "debug", balance=0.5).config
    assert FAMILIES.get(family).terms(config) == {"balance": 0.5}
    assert FAMILIES.get("llama").terms(Blueprint.of("llama", "debug").config) == {}


def test_training_with_it_spreads_the_tokens() -> None:
    """Of a router that sends all to one."""

    def run(weight: float) -> float:
        module = Blueprint.of("mixtral", "debug", vocab=11, context=16, top=1, depth=1).build(seed=1)
        with torch.no_grad():
            module.get_parameter("stack.layers.0.mlp.branch.router.weight").mul_(30.0)
        train(module, decoder_rows(), NextToken(balance=weight), without_dropout(steps=60, rate=1e-2, batch=16))
        _, extra = module.train()(decoder_rows().batch(places(0, range(20))).tokens)
        return float(balance(extra["balance"]).detach())

    assert run(1.0) < run(0.0) - 0.01


def test_training_gives_the_same_bits_twice() -> None:
    """Large enough for torch to share the work among threads, whose order must not tell."""
    torch.manual_seed(0)
    part = Experts(64, [GLU(64, 8) for _ in range(6)], top=4)
    x, given = torch.randn(1, 4096, 64, requires_grad=True), torch.randn(1, 4096, 64)
    learned = [x, *part.parameters()]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        runs = [torch.autograd.grad(part(x, Context(Layout()))[0], learned, given) for _ in range(5)]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for run in runs[1:] for one, other in zip(run, runs[0], strict=True))


def test_no_tokens_give_none() -> None:
    part = experts(4, 2)
    assert part(torch.zeros(2, 0, 6), Context(Layout()))[0].shape == (2, 0, 6)
