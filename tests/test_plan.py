"""A dry run: what a run would take, held to what the same run then took."""

import io
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from weft.data import DataSettings, prepare
from weft.models import FAMILIES, Blueprint, reading
from weft.objectives import OBJECTIVES
from weft.training import plan as planning
from weft.training.loop import train
from weft.training.optimisers import build_optimiser
from weft.training.plan import plan, print_plan
from weft.training.settings import TrainSettings
from weft.training.watch import Record, Watcher

SETTINGS = TrainSettings(steps=2, batch=4, precision="fp32", threads=1, kernel="matmul")


@pytest.fixture(autouse=True)
def speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is timed."""
    monkeypatch.setattr(planning, "measure", lambda: (100.0, 300.0))


@pytest.mark.parametrize("family", reading("text"))
def test_the_operations_are_those_of_a_step(family: str) -> None:
    blueprint = Blueprint.of(family, "debug")
    pairs = FAMILIES.get(family).objective == "translate"
    made = plan(blueprint, SETTINGS)
    assert made.parameters == sum(p.numel() for p in blueprint.build().parameters()) and made.embedding > 0
    if pairs:
        return  # pairs are not full rows
    data = prepare(DataSettings(source="made", tokenizer="bytes"), blueprint.config.context, pairs=False)
    seen: list[Record] = []
    watch = Watcher()
    watch.step = seen.append  # type: ignore[method-assign]
    declared = FAMILIES.get(family)
    objective = OBJECTIVES.get(declared.objective)(**declared.terms(blueprint.config))
    module = blueprint.change("vocab", str(objective.ids(data.tokenizer)))
    train(module.build(), objective.turn(data.train, data.tokenizer, 0), objective, SETTINGS, watch=watch)
    assert seen[0].gflops is not None
    counted = seen[0].gflops * 1e9 / seen[0].tokens_per_second
    assert plan(module, SETTINGS, asked=objective.predicted).flops_per_token == pytest.approx(counted, rel=0.01)


def test_what_is_frozen_costs_no_gradient_and_no_state() -> None:
    blueprint = Blueprint.of("llama", "debug")
    whole, less = (plan(blueprint, replace(SETTINGS, frozen=names)) for names in ((), ("stack",)))
    size = sum(p.nbytes for p in blueprint.build().stack.parameters())  # type: ignore[union-attr]
    assert whole.memory["weights"] == less.memory["weights"] and whole.flops > less.flops
    assert whole.memory["gradients"] - less.memory["gradients"] == size


def test_memory_is_what_the_parts_hold() -> None:
    blueprint = Blueprint.of("llama", "debug")
    size = sum(p.nbytes for p in blueprint.build().parameters())
    for optimiser in ("adamw", "muon"):
        settings = replace(SETTINGS, optimiser=optimiser, average=0.9)
        memory = plan(blueprint, settings).memory
        assert memory["weights"] == memory["gradients"] == memory["averaged weights"] == size
        module = blueprint.build()
        for parameter in module.parameters():
            parameter.grad = torch.zeros_like(parameter)
        built = build_optimiser(module, settings)
        built.step()
        state = sum(t.nbytes for name, t in built.tensors().items() if not name.endswith("/step"))
        assert memory["optimiser"] == state
    whole = plan(blueprint, SETTINGS).memory["activations"]
    assert plan(blueprint, replace(SETTINGS, micro_batches=4)).memory["activations"] < whole / 2
    deep = Blueprint.of("llama", "debug", depth=8)
    less, more = (plan(deep, replace(SETTINGS, recompute=on)) for on in (True, False))
    assert less.memory["activations"] < more.memory["activations"] / 2 and less.flops > 1.2 * more.flops
    assert plan(blueprint, replace(SETTINGS, precision="bf16")).memory["activations"] < whole


def test_time_follows_from_the_peak() -> None:
    blueprint = Blueprint.of("llama", "debug")
    made = plan(blueprint, SETTINGS, share=0.25)
    assert made.seconds_per_step == pytest.approx(made.flops / 25e9) and made.seconds == 2 * made.flops / 25e9
    fast = plan(blueprint, replace(SETTINGS, precision="bf16"), share=0.25)
    assert fast.peak == 300.0 and (fast.seconds or 0) < (made.seconds or 0)
    tokens = 4 * blueprint.config.context
    assert plan(blueprint, replace(SETTINGS, steps=0, tokens=10 * tokens + 1)).steps == 11
    assert plan(blueprint, replace(SETTINGS, steps=0, epochs=2.0), samples=10).steps == 5
    assert plan(blueprint, replace(SETTINGS, steps=0, epochs=2.0)).seconds is None
    minute = plan(blueprint, replace(SETTINGS, steps=0, minutes=1.0))
    assert minute.seconds is not None and 50 < minute.seconds <= 60


def test_a_size_that_no_memory_holds_is_planned_and_nothing_is_drawn() -> None:
    state = torch.get_rng_state()
    blueprint = Blueprint.of("llama", "debug", width=8192, depth=3, heads=64, hidden=28672, vocab=128256, context=2048)
    made = plan(blueprint, replace(SETTINGS, batch=8, kernel="sdpa"))
    assert made.parameters > 3e9 and sum(made.memory.values()) > 100e9 and (made.seconds or 0) > 3600
    assert torch.equal(state, torch.get_rng_state())


def test_it_is_printed() -> None:
    console = Console(file=io.StringIO(), width=100, record=True)
    for settings in (SETTINGS, replace(SETTINGS, steps=0, epochs=1.0)):
        print_plan(console, plan(Blueprint.of("llama", "debug"), settings))
    text = console.export_text()
    for words in ("parameters", "in embeddings", "FLOP", "activations", "100 GFLOP/s of fp32", "nothing was trained"):
        assert words in text
    with pytest.raises(ValueError, match="a run's length"):
        plan(Blueprint.of("llama", "debug"), replace(SETTINGS, steps=0))
