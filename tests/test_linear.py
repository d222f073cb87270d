"""Products without gradients take other ways by their size; each is the plain one."""

import pickle
from copy import deepcopy

import pytest
import torch
from torch.autograd import forward_ad
from torch.nn import functional

from weft.flops import Counter
from weft.nn import ACTIVATIONS, Linear, linear
from weft.nn.linear import FEW, SLICE, WIDE, product


@pytest.fixture(params=["every", "few"], autouse=True)
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor where oneDNN makes all products, and one where it makes those of few rows."""
    monkeypatch.setattr(linear, "EVERY", request.param == "every")


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("out", [7, WIDE, WIDE + SLICE // 2 + 1])
@pytest.mark.parametrize("shape", [(1,), (FEW.stop - 1,), (FEW.stop,), (2, FEW.stop), (3, 0), ()], ids=str)
def test_a_product_is_x_w_transposed_plus_b(shape: tuple[int, ...], out: int, bias: bool) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(*shape, 12), torch.randn(out, 12)
    b = torch.randn(out) if bias else None
    want = functional.linear(x, weight, b)
    with torch.no_grad(), Counter() as counter:
        got = product(x, weight, b)
    assert got.is_contiguous()
    torch.testing.assert_close(got, want)
    assert counter.total == 2 * x.numel() * out
    with torch.inference_mode():
        torch.testing.assert_close(product(x, weight, b), want)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert product(x, weight, b).dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("act", [None, *ACTIVATIONS])
@pytest.mark.parametrize("rows", [1, 5, FEW.stop + 6])
@pytest.mark.parametrize("gated", [False, True])
def test_a_product_ends_with_its_activation_and_what_it_is_multiplied_by(
    act: str | None, rows: int, gated: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    part, squash = Linear(12, 20).to(dtype), None if act is None else ACTIVATIONS[act]
    torch.nn.init.normal_(part.bias)
    x = torch.randn(12, rows).to(dtype).T[None]  # [1, T, 12], not contiguous
    times = torch.randn(20, rows).to(dtype).T[None] if gated else None  # [1, T, 20], likewise
    want = functional.linear(x.double(), part.weight.double(), part.bias.double())
    want = want if squash is None else squash(want)
    want = (want if times is None else want * times.double()).to(dtype)
    close = {} if dtype == torch.float32 else {"atol": 0.05, "rtol": 0.02}  # rounded once, or after each step
    with torch.no_grad():
        torch.testing.assert_close(part(x, squash, times), want, **close)
    torch.testing.assert_close(part(x, squash, times), want, **close)
    part.adapters["twice"] = Twice()
    with torch.no_grad():
        doubled = 2 * functional.linear(x, part.weight, part.bias)
        doubled = doubled if squash is None else squash(doubled)
        torch.testing.assert_close(part(x, squash, times), doubled if times is None else doubled * times, **close)


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("rows", [1, 5, FEW.stop + 6])
def test_what_is_no_number_stays_none_and_a_copied_part_computes_the_same_bits(act: str, rows: int) -> None:
    part, x = Part(act), torch.randn(1, rows, 12)
    with torch.no_grad():
        assert torch.equal(part(x), deepcopy(part)(x)) and torch.equal(part(x), pickle.loads(pickle.dumps(part))(x))
        x[0, 0, 0] = torch.nan
        assert part(x)[0, 0].isnan().all()


@pytest.mark.parametrize("act", [None, "gelu", "relu2"])
@pytest.mark.parametrize("rows", [1, 5, FEW.stop + 6])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own rules for derivatives use it
@torch.no_grad()
def test_a_product_without_gradients_still_has_forward_derivatives_and_is_mapped(
    act: str | None, rows: int, gated: bool, capfd: pytest.CaptureFixture
) -> None:
    part, squash = Linear(12, WIDE + 4).double(), None if act is None else ACTIVATIONS[act]
    x, along, times = torch.randn(rows, 12), torch.randn(rows, 12), torch.randn(rows, WIDE + 4)

    def of(x: torch.Tensor) -> torch.Tensor:
        return part(x, squash, times.to(x.dtype) if gated else None)

    step = 1e-5 * along.double()
    want = (of(x.double() + step) - of(x.double() - step)) / 2e-5  # [T, out]
    part.float()
    torch.testing.assert_close(torch.func.jvp(of, (x,), (along,))[1], want.float(), atol=1e-4, rtol=1e-4)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(of(forward_ad.make_dual(x, along))).tangent
        torch.testing.assert_close(tangent, want.float(), atol=1e-4, rtol=1e-4)
    capfd.readouterr()
    mapped = torch.vmap(of)(torch.stack((x, along)))  # [2, T, out]
    assert "batching rule" not in capfd.readouterr().err  # of which torch warns where it maps row by row
    torch.testing.assert_close(mapped, torch.stack((of(x), of(along))))


class Part(torch.nn.Module):
    """A projection with its activation."""

    def __init__(self, act: str) -> None:
        super().__init__()
        self.up, self.act = Linear(12, 20), ACTIVATIONS[act]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(x, self.act)


class Twice(torch.nn.Module):
    """An adapter: activations come behind it."""

    def forward(self, x: torch.Tensor, y: torch.Tensor, whole: Linear) -> torch.Tensor:
        return 2 * y
