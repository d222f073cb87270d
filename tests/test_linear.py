"""Products without gradients take other ways by their size; each is the plain one."""

import pytest
import torch
from torch.nn import functional

from weft.flops import Counter
from weft.nn.linear import FEW, SLICE, WIDE, product


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
