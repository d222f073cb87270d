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


def test_the_pages_cache_changes_no_score(page: ModuleType) -> None:
    model = page.Transformer(page.Config(61, 48, 40, 3, 4, 2, 72))
    tokens, cache = torch.randint(61, (2, 9)), [page.Slot() for _ in range(3)]
    parts = [model(part, cache) for part in tokens.split([4, 1, 3, 1], dim=1)]
    torch.testing.assert_close(torch.cat(parts, 1), model(tokens))


def test_the_page_learns_and_writes(
    page: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    sizes = ["--steps", "20", "--width", "32", "--depth", "1", "--context", "32", "--sample", "70"]
    monkeypatch.setattr(sys, "argv", ["one_file.py", *sizes, "--prompt", "import"])
    page.main()
    told, written = capsys.readouterr().out.split("likeliest characters\n\n")
    bits = [float(found) for found in re.findall(r"([\d.]+) bits/byte", told)]
    assert len(bits) == 10 and bits[-1] < bits[0]
    assert written.startswith("import") and len(written) == len("import") + 70 + 1  # past the context, and a line end


def test_the_page_is_a_page() -> None:
    assert PAGE.read_text().count("\n") <= 265
