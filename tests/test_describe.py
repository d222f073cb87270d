"""`weft.describe`: parameters, fields, operations and cache bytes, against what the model really has and takes."""

import json

import pytest
import torch

import weft
from weft.flops import Counter
from weft.hub import Model
from weft.inspect import Description
from weft.models import Blueprint, reading
from weft.nn import (
    Attention,
    Block,
    Causal,
    Decoder,
    Embed,
    EncoderDecoder,
    Field,
    LMHead,
    Residual,
    Rope,
    Stack,
    Window,
)
from weft.nn.slots import Slot, StateSlot

NAMES = reading("text")


def real(name: str) -> tuple[Blueprint, Decoder | EncoderDecoder]:
    blueprint = Blueprint.of(name, "debug")
    module = blueprint.build()
    if not isinstance(module, Decoder | EncoderDecoder):
        pytest.skip(f"{name} goes by no token at a time")
    return blueprint, module


@pytest.mark.parametrize("name", NAMES)
def test_a_blueprint_a_module_and_a_model_are_described_alike(name: str) -> None:
    blueprint = Blueprint.of(name, "debug")
    module = blueprint.build()
    found = weft.describe(blueprint)
    assert found == weft.describe(Model(module, blueprint)) and found.family == name
    bare = weft.describe(module, length=found.length)
    assert bare.family is None and (bare.parts, bare.cache, bare.operations) == (
        found.parts,
        found.cache,
        found.operations,
    )
    count = sum(parameter.numel() for parameter in module.parameters())
    assert found.parameters == count == sum(part.parameters for part in found.parts)
    assert json.loads(json.dumps(found.to_data()))["parameters"] == count


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_operations_are_those_of_a_pass(name: str) -> None:
    blueprint, module = real(name)
    found = weft.describe(blueprint, length=24)
    tokens = torch.zeros(1, 24, dtype=torch.int64)
    with Counter() as counter:
        hidden, _ = module(tokens, tokens) if isinstance(module, EncoderDecoder) else module(tokens)
        module.logits(hidden)
    assert found.length == 24 and found.operations == counter.total / 24 > 0


@pytest.mark.parametrize("name", NAMES)
def test_cache_bytes_are_those_of_a_cache(name: str) -> None:
    blueprint, module = real(name)
    sizes = {held.dtype: held for held in weft.describe(blueprint).cache}
    for dtype, held in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        cache = module.cache(1, 40, dtype=held)
        slots = [slot for slot in cache.slots() if isinstance(slot, Slot) and not slot.shared]
        assert sizes[dtype].token * 41 == sum(slot.k.nbytes + slot.v.nbytes for slot in slots)  # one place is spare
        states = sum(slot.read().nbytes for slot in cache.slots() if isinstance(slot, StateSlot))
        whole = module.cache(1, blueprint.config.context, chunk=1, dtype=held)  # a window keeps its own width
        slots = [slot for slot in whole.slots() if isinstance(slot, Slot) and not slot.shared]
        row = sum((slot.k.nbytes + slot.v.nbytes) // slot.k.shape[1] * (slot.k.shape[1] - 1) for slot in slots)
        assert sizes[dtype].row == row + states > 0
    assert (sizes["fp32"].memory > 0) == isinstance(module, EncoderDecoder)


def test_a_window_forgets_and_equal_layers_are_one() -> None:
    layers = [Block(attn=Residual(Attention(24, 4, field=name))) for name in ("self", "self", "near", "self")]
    fields = {"self": Field(Rope(6), Causal()), "near": Field(Rope(6), Window(5))}
    module = Decoder(Embed(19, 24), Stack(layers, fields=fields), head=LMHead(24, 19, tied=True))
    found = weft.describe(module, length=100)
    (held, _) = found.cache
    assert held.row == held.token // 4 * (3 * 100 + 5)
    assert [part.layers for part in found.parts if part.kind == "Attention"] == [
        "stack.layers.0-1",
        "stack.layers.2",
        "stack.layers.3",
    ]
    assert found.context is None and found.stacks[0].depth == 4
    assert [field.mask for field in found.stacks[0].fields] == ["Causal()", "Window(left=5, right=0)"]


def test_the_published_sizes_are_the_papers() -> None:
    found = weft.describe(Blueprint.of("llama", "7b"))
    assert found.parameters == 6_738_415_616
    assert found.cache[1].row == 2 * 32 * 4096 * 4096 * 2  # keys and values, layers, tokens, width, bytes
    assert weft.describe(Blueprint.of("gpt2", "base")).parameters == 124_439_808


def test_it_prints_as_a_table_without_trailing_blanks() -> None:
    found = weft.describe(Blueprint.of("gpt2", "debug"))
    text = str(found)
    assert isinstance(found, Description) and f"{found.parameters:,}" in text and "tied" in text
    lines = text.splitlines()
    assert all(line == line.rstrip() and len(line) <= 120 for line in lines)
    assert any(line.startswith("stack.layers.0-1") and "2 equal layers" in line for line in lines)


def test_what_is_no_model_is_refused() -> None:
    for wrong in (torch.nn.Linear(2, 2), "gpt2", None):
        with pytest.raises(ValueError, match="cannot be described"):
            weft.describe(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="trained positions end at 64"):
        weft.describe(Blueprint.of("gpt2", "debug"), length=65)
