"""Products without gradients take other ways by their size; each is the plain one."""

import pickle
from copy import deepcopy

import pytest
import torch
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
