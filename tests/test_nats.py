"""The head's fused loss against the cross-entropy of its scores."""

import sys

import pytest
import torch
from parts import close, randomised
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from weft.nn import (
    LMHead,
)


@pytest.mark.parametrize("how", [{}, {"scale": 0.3}, {"bias": True}, {"tied": True}], ids=str)
@pytest.mark.parametrize("piece", [1, 23 * 17, 2**21])
@pytest.mark.parametrize("listening", [False, True])
def test_nats_are_the_cross_entropy_of_the_scores(
    how: dict, piece: int, listening: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("PRODUCT", piece), ("ROWS", 1), ("PIECE", piece)):
        monkeypatch.setattr(sys.modules["weft.nn.nats"], name, size)
    head, table = randomised(LMHead(16, 23, **how)), torch.randn(23, 16, requires_grad=True)
    if listening:
        head.scores.register_forward_hook(lambda *_: None)
    x, labels = torch.randn(3, 19, 16, requires_grad=True), torch.randint(23, (3, 19))
    labels[0, 3:9], labels[2] = -100, -100
    inputs = [x, *head.parameters(), *([table] if how.get("tied") else [])]
    wanted = functional.cross_entropy(head(x, table).flatten(0, 1), labels.flatten(), reduction="sum")
    got = head.nats(x, labels, table)
    assert got.dtype == torch.float32 and float(got.detach()) == pytest.approx(float(wanted.detach()), rel=1e-6)
    gradients = torch.autograd.grad(wanted * 0.37, inputs)
    for a, b in zip(torch.autograd.grad(got * 0.37, inputs), gradients, strict=True):
        close(a, b)
    with torch.no_grad():
        assert float(head.nats(x, labels, table)) == pytest.approx(float(wanted), rel=1e-6)
        assert float(head.nats(x, torch.full_like(labels, -100), table)) == 0.0
        assert float(head.nats(x[:, :0], labels[:, :0], table)) == 0.0


@pytest.mark.parametrize("label", [-1, 23, -101])
def test_a_label_that_is_no_token_is_refused(label: int) -> None:
    """-100 is the one label that is not counted; a -1 must not be taken for token 0."""
    head, labels = LMHead(16, 23), torch.zeros(1, 4, dtype=torch.int64)
    labels[0, 2] = label
    with pytest.raises((IndexError, RuntimeError), match=f"{label} is out of bounds"):
        head.nats(torch.randn(1, 4, 16), labels)


@pytest.mark.parametrize("bias", [False, True])
def test_nats_cost_one_product_where_nobody_wants_a_gradient(bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation must not pay for the backward pass, and holds as many scores as it may."""
    head, x, labels = LMHead(16, 23, bias=bias), torch.randn(40, 16), torch.randint(23, (40,))
    for name, size in (("PRODUCT", 20 * 23), ("ROWS", 1), ("PIECE", 20 * 23)):
        monkeypatch.setattr(sys.modules["weft.nn.nats"], name, size)
    products, held = [], []

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.mkldnn._linear_pointwise):
                products.append(func)
            out = func(*args, **(kwargs or {}))
            held.append(out.numel())
            return out

    with torch.no_grad(), Count():
        head.nats(x, labels)
    assert len(products) == 2 and max(held) == 20 * 23


@pytest.mark.parametrize("bias", [False, True])
def test_nats_under_autocast_and_with_a_frozen_side(bias: bool) -> None:
    head, x, labels = randomised(LMHead(16, 23, bias=bias)), torch.randn(40, 16), torch.randint(23, (40,))
    exact = functional.cross_entropy(head(x), labels, reduction="sum")
    learned = list(head.parameters())
    wanted = torch.autograd.grad(exact, learned)
    with torch.autocast("cpu", torch.bfloat16):
        near = head.nats(x, labels)
    for got, other in zip(torch.autograd.grad(near, learned), wanted, strict=True):
        assert got.dtype == torch.float32 and float((got - other).norm() / other.norm()) < 0.02
    assert float(near.detach()) == pytest.approx(float(exact.detach()), rel=0.02)
    head.requires_grad_(False)
    assert not head.nats(x, labels).requires_grad
    x.requires_grad_()
    close(
        *(torch.autograd.grad(f, x)[0] for f in (head.nats(x, labels), functional.cross_entropy(head(x), labels) * 40))
    )
