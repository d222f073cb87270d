"""The small parts, each against a definition of its own."""

import itertools
import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from parts import CPU, CTX, PLAIN, close, randomised
from torch import Tensor, nn
from torch.func import functional_call

from weft.flops import Counter
from weft.nn import (
    ACTIVATIONS,
    GLU,
    MLP,
    SCHEMES,
    Attention,
    Block,
    Causal,
    Dropout,
    Embed,
    Field,
    LayerNorm,
    Layout,
    Learned,
    Linear,
    LMHead,
    Residual,
    RMSNorm,
    Rope,
    Scheme,
    Shaw,
    initialise,
    rope,
)
from weft.nn.context import Context

OPTIONS = {
    "plain": dict(),
    "grouped": dict(kv_heads=2),
    "widths": dict(kv_heads=1, head_width=6, value_width=10),
    "scale": dict(scale=0.2),
    "softcap": dict(softcap=2.0, scale=1.0),
    "sink": dict(sink=True),
    "norms": dict(q_norm=RMSNorm(4), k_norm=LayerNorm(4)),
    "no key bias": dict(bias="qvo"),
    "no biases": dict(bias=""),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@torch.no_grad()
def test_attention_by_hand(options: dict) -> None:
    """Project, normalise, rotate, score, cap, weigh, mix, project: one head and one query at a time."""
    a, x, turn = randomised(Attention(16, 4, **options)), torch.randn(1, 7, 16), Rope(4)
    sight = Field(turn, Causal()).among(PLAIN, 7, CPU)
    for letter, linear in zip("qkvo", (a.q, a.k, a.v, a.out), strict=True):
        assert (linear.bias is not None) == (letter in options.get("bias", "qkvo"))
    q = sight.rotate_q(a.q_norm(a.q(x).view(1, 7, 4, a.head_width)))[0]
    k = sight.rotate_k(a.k_norm(a.k(x).view(1, 7, a.kv_heads, a.head_width)))[0]
    v = a.v(x).view(7, a.kv_heads, a.value_width)
    mixed = torch.zeros(7, 4, a.value_width)
    for t, h in itertools.product(range(7), range(4)):
        g = h * a.kv_heads // 4
        scores = (k[: t + 1, g] @ q[t, h]) * options.get("scale", a.head_width**-0.5)
        if "softcap" in options:
            scores = options["softcap"] * (scores / options["softcap"]).tanh()
        scores = scores if a.sink is None else torch.cat((scores, a.sink[h, None]))
        mixed[t, h] = scores.softmax(0)[: t + 1] @ v[: t + 1, g]
    close(a(x, Context(PLAIN, None, {"self": sight}))[0][0], a.out(mixed.flatten(1)))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_by_hand(name: str) -> None:
    formulas: dict[str, Callable[[float], float]] = {
        "relu": lambda x: max(x, 0),
        "tanh": math.tanh,
        "relu2": lambda x: max(x, 0) ** 2,
        "gelu": lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))),
        "gelu_tanh": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        "quick_gelu": lambda x: x / (1 + math.exp(-1.702 * x)),
        "silu": lambda x: x / (1 + math.exp(-x)),
        "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    }
    points = [-3.0, -0.7, 0.0, 0.4, 2.5]
    assert ACTIVATIONS[name](torch.tensor(points)).tolist() == pytest.approx(
        [formulas[name](x) for x in points], abs=1e-6
    )


def test_feed_forwards_by_hand() -> None:
    x = torch.randn(2, 3, 4)
    mlp, glu = randomised(MLP(4, 6, act="relu")), randomised(GLU(4, 6, bias=True))
    close(mlp(x, CTX)[0], (x @ mlp.up.weight.T + mlp.up.bias).relu() @ mlp.down.weight.T + mlp.down.bias)
    gate, up = x @ glu.gate.weight.T + glu.gate.bias, x @ glu.up.weight.T + glu.up.bias
    close(glu(x, CTX)[0], (gate * gate.sigmoid() * up) @ glu.down.weight.T + glu.down.bias)
    capped = GLU(4, 6, combine=lambda gate, up: gate.clamp(max=0.1) + up)
    wanted = ((x @ capped.gate.weight.T).clamp(max=0.1) + x @ capped.up.weight.T) @ capped.down.weight.T
    close(capped(x, CTX)[0], wanted)
    with pytest.raises(ValueError, match="'swoosh'"):
        MLP(4, 6, act="swoosh")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_norms_by_hand(dtype: torch.dtype) -> None:
    """Statistics in fp32 also where the row is bf16; bf16 rounds three times at the most."""
    x = (torch.randn(5, 64) + 3).to(dtype)
    exact, rms, layer = x.double(), randomised(RMSNorm(64, eps=0.1)), randomised(LayerNorm(64, eps=0.1))
    tolerance = 1e-5 if dtype == torch.float32 else 0.03
    wanted = exact * (exact.square().mean(-1, keepdim=True) + 0.1).rsqrt() * rms.weight
    assert torch.allclose(rms(x).double(), wanted, rtol=1e-5 if dtype == torch.float32 else 3 * 2**-8, atol=1e-6)
    centred = exact - exact.mean(-1, keepdim=True)
    wanted = centred * (centred.square().mean(-1, keepdim=True) + 0.1).rsqrt() * layer.weight + layer.bias
    close(layer(x), wanted, tolerance)
    assert rms(x).dtype == layer(x).dtype == dtype


@pytest.mark.parametrize("part", [RMSNorm(6, eps=0.1), LayerNorm(6, eps=0.1)], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("shape", [(2, 3, 6), (1, 2, 2, 6)], ids=str)
def test_gradients_of_norms(part: nn.Module, shape: tuple[int, ...]) -> None:
    part, x = randomised(part).double(), torch.randn(shape, dtype=torch.float64, requires_grad=True)
    named = dict(part.named_parameters())

    def run(x: Tensor, *values: Tensor) -> Tensor:
        return functional_call(part, dict(zip(named, values, strict=True)), x)

    assert torch.autograd.gradcheck(run, (x, *named.values()))
    part.requires_grad_(False)
    assert torch.autograd.gradcheck(part, (x,))


@pytest.mark.parametrize("width", [2, 4, 6])
@pytest.mark.parametrize("rows", [1, 2])
def test_gradients_of_a_rotation(width: int, rows: int) -> None:
    """Also where only a part of each head turns, and where every row has places of its own."""
    x = torch.randn(2, 3, 2, 6, dtype=torch.float64, requires_grad=True)
    here = Layout(torch.randint(50, (rows, 3)))
    placed = Rope(width, scaling=rope.Yarn(4.0, 8)).at(here, here, here, 3)
    assert torch.autograd.gradcheck(placed.rotate_q, (x,))
    turned = placed.rotate_q(x).detach()
    assert torch.equal(turned[..., width:], x[..., width:])
    grow = 0.1 * math.log(4.0) + 1.0
    close(turned[..., :width].norm(dim=-1), grow * x[..., :width].norm(dim=-1), 1e-5)
    assert torch.equal(placed.rotate_q(x.transpose(1, 2).contiguous().transpose(1, 2)), placed.rotate_q(x))


def parts_of(scheme: Scheme) -> nn.Module:
    """What a scheme needs in the stem, the field and each layer."""
    return nn.ModuleList([scheme.stem(16, 9), scheme.field(4, 4), *filter(None, [scheme.relative(4, 4)])])


PARTS: dict[str, Callable[[], nn.Module]] = {
    "attention": lambda: Attention(16, 4, 2, sink=True, relative=Shaw(4), q_norm=RMSNorm(4)),
    "head": lambda: LMHead(16, 23, bias=True),
    "embed": lambda: Embed(23, 16, position=Learned(9, 16), norm=LayerNorm(16)),
    "feed-forward": lambda: Block(mlp=Residual(GLU(16, 24, bias=True), pre=RMSNorm(16))),
    **{name: partial(parts_of, scheme()) for name, scheme in SCHEMES.items()},
}


@pytest.mark.parametrize("name", PARTS)
def test_reset_reaches_every_parameter(name: str) -> None:
    """What was built on the meta device and given memory holds garbage until `initialise.reset`."""
    with torch.device("meta"):
        part = PARTS[name]()
    part = part.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.fill_(math.nan)
    initialise.reset(part)
    assert [name for name, parameter in part.named_parameters() if not torch.isfinite(parameter).all()] == []


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((16, 3), "3 heads do not divide the width 16"),
        ((16, 4, 3), "3 key/value heads do not divide 4"),
        ((0, 1), "width 0"),
    ],
)
def test_heads_that_cannot_be(sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Attention(*sizes)


@pytest.mark.parametrize("shape", [(5,), (3, 4, 5), (2, 0, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_product_is_the_same_with_and_without_gradients(shape: tuple[int, ...], bias: bool) -> None:
    linear = Linear(5, 7, bias=bias)
    randomised(linear)
    for x in (torch.randn(shape), torch.randn(*shape[:-1], 2 * shape[-1])[..., ::2]):  # the second is no whole block
        with torch.no_grad():
            y = linear(x)
        wanted = x @ linear.weight.T + (linear.bias if linear.bias is not None else 0.0)
        torch.testing.assert_close(y, wanted.detach())
        torch.testing.assert_close(linear(x), wanted)


@pytest.mark.parametrize("bias", [True, False])
def test_a_product_costs_the_same_with_and_without_gradients(bias: bool) -> None:
    linear, counts = Linear(8, 7, bias=bias), []
    for wanted in (True, False):
        with Counter() as counter, torch.set_grad_enabled(wanted):
            linear(torch.randn(3, 5, 8))
        counts.append(counter.total)
    assert counts == [2 * 3 * 5 * 8 * 7] * 2


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.9])
def test_dropout_leaves_out_a_share_and_keeps_the_mean(rate: float) -> None:
    dropout, x = Dropout(rate).train(), torch.ones(200, 1001, requires_grad=True)
    y = dropout(x)
    deviation = math.sqrt(rate * (1 - rate) / x.numel())
    assert abs(float((y == 0).float().mean()) - rate) < 5 * deviation
    assert y[y != 0].unique().tolist() == pytest.approx([1 / (1 - rate)], rel=1e-4)
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert grad.equal(y)  # x is 1 everywhere: what was left out takes no gradient
    columns = (y == 0).float().mean(0)  # neighbours share a draw: none of them may know of the other
    assert (
        abs(
            float(
                torch.corrcoef(torch.stack(((y == 0).float()[:, :-1].flatten(), (y == 0).float()[:, 1:].flatten())))[
                    0, 1
                ]
            )
        )
        < 0.02
    )
    assert float((columns - rate).abs().max()) < 6 * math.sqrt(rate * (1 - rate) / 200)
    assert dropout.eval()(x) is x and Dropout(0.0).train()(x) is x


def test_dropout_is_a_function_of_the_seed() -> None:
    x = torch.ones(33)
    first, again = (torch.manual_seed(3) and Dropout(0.5).train()(x) for _ in range(2))
    assert first.equal(again) and not first.equal(Dropout(0.5).train()(x))
