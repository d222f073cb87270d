"""docs/one_file.py is the library's LLaMA: same weights, same logits, same gradients."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from weft.models import Blueprint

PAGE = Path(__file__).parents[1] / "docs" / "one_file.py"


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("one_file", PAGE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["one_file"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def ours(name: str) -> str:
    """The library's name of one of the page's parameters."""
    name = re.sub(r"^(layers\.\d+)\.(attn|mlp)_norm\.", r"\1.\2.pre.", name)
    name = re.sub(r"^(layers\.\d+)\.(attn|mlp)\.(q|k|v|out|gate|up|down)\.", r"\1.\2.branch.\3.", name)
    return f"stack.{name}" if name.startswith(("layers.", "norm.")) else name


@pytest.mark.parametrize("tied", [True, False])
def test_the_page_equals_the_library(page: ModuleType, tied: bool) -> None:
    sizes = dict(vocab=61, context=48, width=40, depth=3, heads=4, kv_heads=2, hidden=72, theta=700.0, eps=1e-4)
    small = page.Transformer(page.Config(**sizes, tied=tied))
    for parameter in small.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    module = Blueprint.of("llama", **sizes, tied=tied).build()
    module.load_state_dict({ours(name): tensor for name, tensor in small.state_dict().items()}, strict=True)
    tokens = torch.randint(61, (3, 48))

    theirs, logits = small(tokens), module.logits(module(tokens)[0])
    assert (theirs - logits).abs().max() <= 1e-5 * theirs.std()

    _loss(theirs, tokens).backward()
    _loss(logits, tokens).backward()
    mine = dict(module.named_parameters())
    for name, parameter in small.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(mine[ours(name)].grad, parameter.grad, rtol=1e-4, atol=1e-6, msg=name)


def _loss(logits: Tensor, tokens: Tensor) -> Tensor:
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


def test_the_page_trains_and_samples(
    page: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["one_file.py", "--steps", "3", "--width", "32", "--depth", "1"])
    page.main()
    assert "bits" in capsys.readouterr().out
