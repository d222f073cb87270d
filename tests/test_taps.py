"""Adapters beside a linear layer; taps that record and edit."""

import pytest
import torch
from parts import CPU, close, randomised
from torch import Tensor, nn

from weft.nn import (
    KERNELS,
    Attention,
    Causal,
    Field,
    Layout,
    Linear,
    Position,
    Rope,
    Sight,
    Tap,
    Window,
    kernels,
)
from weft.nn.context import Context


class LowRank(nn.Module):
    def __init__(self, linear: Linear) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(2, linear.width_in))
        self.up = nn.Parameter(torch.randn(linear.width_out, 2))

    def forward(self, x: Tensor, y: Tensor, linear: Linear) -> Tensor:
        return y + x @ self.down.T @ self.up.T


def test_an_adapter_stands_beside_and_renames_nothing() -> None:
    linear, x = Linear(5, 7), torch.randn(3, 5)
    names, plain = set(linear.state_dict()), linear(x)
    a, b = LowRank(linear), LowRank(linear)
    linear.adapters["a"], linear.adapters["b"] = a, b
    close(linear(x), plain + x @ (a.up @ a.down + b.up @ b.down).T)
    assert names < set(linear.state_dict())
    del linear.adapters["a"], linear.adapters["b"]
    assert torch.equal(linear(x), plain)


TAPS = ["queries", "new_keys", "new_values", "probs", "mixed"]


def heard(attention: Attention, x: Tensor, sights: dict[str, Sight]) -> tuple[Tensor, dict[str, Tensor]]:
    """An attention's output, and what its taps say."""
    record: dict[str, Tensor] = {}
    hooks = [
        getattr(attention, name).register_forward_hook(lambda _m, _i, out, name=name: record.__setitem__(name, out))
        for name in TAPS
    ]
    y = attention(x, Context(Layout(), None, sights))[0]
    for hook in hooks:
        hook.remove()
    return y, record


@pytest.mark.parametrize("name", KERNELS)
def test_taps_say_the_models_own_numbers(name: str) -> None:
    attention = randomised(Attention(16, 4, 2, softcap=4.0 if name == "matmul" else None))
    field, x = Field(Rope(4), Window(9)), torch.randn(2, 80, 16)
    kernels.use(nn.ModuleList([field]), name)
    sights = {"self": field.among(Layout(), 80, CPU)}
    plain = attention(x, Context(Layout(), None, sights))[0]
    y, record = heard(attention, x, sights)
    close(y, plain)
    assert set(record) == set(TAPS)
    assert record["probs"].shape == (2, 4, 80, 80)
    close(record["probs"].sum(-1), torch.ones(2, 4, 80))
    values = record["new_values"].repeat_interleave(2, 2)
    close(torch.einsum("bhts,bshk->bthk", record["probs"], values), record["mixed"])
    close(attention.out(record["mixed"].flatten(-2)), y)
    assert torch.equal(attention(x, Context(Layout(), None, sights))[0], plain)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("tap", TAPS)
def test_an_edit_changes_what_was_edited(name: str, tap: str) -> None:
    attention = randomised(Attention(16, 4, 2))
    field, x = Field(Rope(4), Causal()), torch.randn(1, 80, 16)
    results = []
    for kernel in (name, "eager"):
        kernels.use(nn.ModuleList([field]), kernel)
        sights = {"self": field.among(Layout(), 80, CPU)}
        plain = attention(x, Context(Layout(), None, sights))[0]
        hook = getattr(attention, tap).register_forward_hook(lambda _m, _i, out: out * 0.5)
        results.append(attention(x, Context(Layout(), None, sights))[0])
        hook.remove()
        assert not torch.allclose(results[-1], plain, atol=1e-3)
    close(*results)


@pytest.mark.parametrize(
    "kind", ["register_full_backward_hook", "register_full_backward_pre_hook", "register_forward_pre_hook"]
)
def test_any_hook_on_a_tap_is_heard(kind: str) -> None:
    attention, heard_of = Attention(16, 4), []
    field = Field(Position(), Causal())
    field.kernel = "sdpa"
    x = torch.randn(1, 8, 16, requires_grad=True)
    getattr(attention.probs, kind)(lambda *_: heard_of.append(kind))
    attention(x, Context(Layout(), None, {"self": field.among(Layout(), 8, CPU)}))[0].sum().backward()
    assert heard_of == [kind]


def test_a_tap_is_the_identity() -> None:
    x = torch.randn(3)
    assert Tap()(x) is x and not Tap().active
