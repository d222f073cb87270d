"""What a run would take, before it takes it: parameters, operations, memory and time. Nothing is trained or written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import Module, Parameter

from weft.flops import Counter
from weft.models import Blueprint
from weft.nn import Decoder, Encoder, EncoderDecoder, kernels
from weft.training.flops import memory, peak
from weft.training.length import steps_of_epochs
from weft.training.modes import frozen
from weft.training.muon import orthogonalise
from weft.training.optimisers import Groups, count_parameters, groups
from weft.training.parallel import layers
from weft.training.precision import Precision, autocast, choose, measure
from weft.training.recompute import recomputed
from weft.training.settings import TrainSettings
from weft.training.watch import clock, size, thousands
from weft.training.watch.figures import flops, work
from weft.training.world import place

SHARE = 0.5  # of the peak of a large matrix product that a training step reaches; half is what small models do on a CPU


@dataclass(frozen=True)
class Plan:
    """What a run would take, on one process.

    embedding: parameters in tables (embeddings, heads), of all `parameters`. flops: operations of a step, the
    optimiser's among them; flops_per_token: those of a token's forward and backward pass. memory: bytes by what they
    hold. steps: None where what decides is not known: the number of samples, or the peak. peak: GFLOP/s; 0 = not
    measured.
    """

    parameters: int
    embedding: int
    rows: int  # a step
    context: int
    flops: int
    flops_per_token: float
    memory: dict[str, int]
    steps: int | None
    precision: Precision
    peak: float
    share: float

    @property
    def seconds_per_step(self) -> float | None:
        """At `share` of the peak; None where that was not measured."""
        return self.flops / (self.peak * self.share * 1e9) if self.peak else None

    @property
    def seconds(self) -> float | None:
        """Of all steps; None where one of the two is not known. Evaluation and reading the data come on top."""
        each = self.seconds_per_step
        return None if each is None or self.steps is None else each * self.steps


@dataclass(frozen=True)
class Pass:
    """One micro-batch's forward and backward pass: operations, and bytes that are kept for the backward pass."""

    flops: int
    kept: int


@dataclass(frozen=True)
class Trial:
    """One pass of a run's own, over its first rows: for models whose rows are not all alike full of tokens.

    module: what trains, on its device; loss: what is minimised of these `rows`, which hold `tokens` (see `Batch.size`).
    """

    module: Module
    loss: Callable[[], Tensor]
    rows: int
    tokens: int


def plan(
    blueprint: Blueprint, settings: TrainSettings, *, asked: float = 1.0, samples: int = 0, share: float = SHARE,
    trial: Trial | None = None,
) -> Plan:  # fmt: skip
    """What training `blueprint` with `settings` would take on this machine: rows full of tokens, or like a trial's own.

    asked: the share of a row's tokens that the objective predicts. samples: how many rows an epoch has, where the
    run's length is given in epochs. Without a trial operations are counted and kept tensors measured on tensors without
    contents, so that any size is planned at once; what the measured matrix peak says of time is an estimate. ValueError
    for settings that cannot be meant.
    """
    settings.check()
    device, context = place(settings.device), int(blueprint.config.context)
    precision = choose(settings.precision, device)
    rows = settings.batch // settings.micro_batches
    with nullcontext() if trial else FakeTensorMode(), torch.device(device):
        module = trial.module.train() if trial else blueprint.build().train()
        with frozen(module, settings.frozen):
            sorted_groups = groups(module)
            if settings.kernel != "measured":
                kernels.use(module, settings.kernel)
            if trial:
                work, context = _tried(trial, rows, precision, settings.recompute), round(trial.tokens / trial.rows)
            else:
                work = passed(module, rows, context, precision, asked=asked, recompute=settings.recompute)
            update = optimiser_flops(sorted_groups, settings, precision)
    tokens = settings.batch * context
    highest = peak(precision) or _measured(precision, device)
    operations = work.flops * settings.micro_batches + update
    return Plan(
        parameters=count_parameters(module.parameters()),
        embedding=count_parameters(sorted_groups.tables.values()),
        rows=settings.batch,
        context=context,
        flops=operations,
        flops_per_token=work.flops * settings.micro_batches / tokens,
        memory=held(module, sorted_groups, settings, work, device),
        steps=_steps(settings, tokens, samples, operations / (highest * share * 1e9) if highest else None),
        precision=precision,
        peak=highest,
        share=share,
    )


def passed(
    module: Module, rows: int, context: int, precision: Precision, *, asked: float = 1.0, recompute: bool
) -> Pass:
    """Run one pass over rows [rows, context] (and sources of the same size), of whose tokens the share `asked` is
    predicted, and count.

    With `recompute`, one layer's activations are there again in the backward pass, beside what was kept.
    """
    device = next(module.parameters()).device
    assert isinstance(module, Decoder | Encoder | EncoderDecoder)
    tokens = module.embed.blank(rows, context).to(device)
    return _counted(module, lambda: _loss(module, tokens, max(1, round(asked * context))), precision, recompute)


def _tried(trial: Trial, rows: int, precision: Precision, recompute: bool) -> Pass:
    """`passed`, of a trial: of `rows` as many times what its own took."""
    found, times = _counted(trial.module, trial.loss, precision, recompute), rows / trial.rows
    return Pass(round(found.flops * times), round(found.kept * times))


def _counted(module: Module, loss: Callable[[], Tensor], precision: Precision, recompute: bool) -> Pass:
    """Of one pass of what `loss` computes through a module, see `passed`."""
    device = next(module.parameters()).device

    def once(wanted: bool) -> Pass:
        with recomputed(module, wanted), Counter() as counter, _keeping(module) as found:
            with autocast(precision, device):
                total = loss()
            total.backward()
        return Pass(counter.total, sum(found.values()))

    if not recompute:
        return once(False)
    less, whole = once(True), once(False)
    return Pass(less.flops, less.kept + whole.kept // len(list(layers(module))))


def optimiser_flops(sorted_groups: Groups, settings: TrainSettings, precision: Precision) -> int:
    """Matrix products of one update: Muon's; AdamW has none."""
    if settings.optimiser != "muon":
        return 0
    with Counter() as counter, torch.no_grad():
        for parameter in sorted_groups.matrices.values():
            orthogonalise(parameter.flatten(1)[None], precision.torch_dtype())
    return counter.total


def held(
    module: Module, sorted_groups: Groups, settings: TrainSettings, work: Pass, device: torch.device
) -> dict[str, int]:
    """Bytes by what they hold, at the moment of a step where most is held."""
    learned = [p for group in (sorted_groups.matrices, sorted_groups.tables, sorted_groups.vectors)
               for p in group.values()]  # fmt: skip
    matrices, all_of_them = _bytes(list(sorted_groups.matrices.values())), _bytes(learned)
    state = 2 * all_of_them - (matrices if settings.optimiser == "muon" else 0)
    average = all_of_them if settings.average else 0
    weights = _bytes([*module.parameters()])
    parts = {
        "weights": weights + sum(buffer.nbytes for buffer in module.buffers()),
        "gradients": all_of_them,
        "optimiser": state,
        "averaged weights": average,
        "activations": work.kept,
    }
    if device.type == "cpu":
        parts["a checkpoint being written"] = weights + state + average if settings.checkpoint_every else 0
        parts["Python and torch"] = memory(device) or 0
    return {name: count for name, count in parts.items() if count}


def print_plan(console: Console, plan: Plan) -> None:
    """The plan as a table."""
    seconds, each = plan.seconds, plan.seconds_per_step
    tokens = plan.rows * plan.context
    grid = Table.grid(padding=(0, 3, 0, 0))
    grid.add_column(style="dim")
    grid.add_column(justify="right", style="bold")
    grid.add_column(style="dim")
    steps = "-" if plan.steps is None else f"{plan.steps:,}"
    grid.add_row("parameters", thousands(plan.parameters), f"{thousands(plan.embedding)} of them in embeddings")
    grid.add_row("steps", steps, f"of {plan.rows} rows of {plan.context}: {tokens:,} tokens")
    grid.add_row("tokens", "-" if plan.steps is None else thousands(plan.steps * tokens), "read by the whole run")
    grid.add_row("operations", work(plan.flops), f"a step; {work(plan.flops_per_token)} a token")
    parts = ", ".join(f"{name} {size(count)}" for name, count in plan.memory.items())
    grid.add_row("memory", size(sum(plan.memory.values())), parts)
    speed = f"{flops(plan.peak)} of {plan.precision.dtype} products, of which a step is taken to reach {plan.share:.0%}"
    how = speed if plan.peak else "the machine's matrix peak is not measured here"
    grid.add_row("time", "-" if seconds is None else clock(seconds), how)
    if each is not None:
        grid.add_row("", f"{thousands(tokens / each)}", f"tokens a second, {each:.3g} s a step")
    console.print(grid)
    console.print(Text("\nnothing was trained; evaluation and preparing the data come on top", style="dim"))


@contextmanager
def _keeping(module: Module) -> Iterator[dict[int, int]]:
    """What is kept for the backward pass of what runs inside: bytes by storage, weights left out."""
    own = {parameter.untyped_storage()._cdata for parameter in module.parameters()}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            found[storage._cdata] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield found


def _loss(module: Module, tokens: Tensor, asked: int) -> Tensor:
    """-log p of the first `asked` tokens of each row; of a head that reads rows whole, of each row's class."""
    assert isinstance(module, Decoder | Encoder | EncoderDecoder)
    hidden, _ = module(tokens, tokens) if isinstance(module, EncoderDecoder) else module(tokens)
    if isinstance(module, Encoder) and any(head.pooled for head in list(module.heads.values())[:1]):
        return module.nats(hidden, torch.zeros(len(hidden), dtype=torch.int64, device=hidden.device))
    labels = torch.zeros(hidden[:, :asked].shape[:2], dtype=torch.int64, device=hidden.device)  # [B, asked]
    return module.nats(hidden[:, :asked], labels)


def _measured(precision: Precision, device: torch.device) -> float:
    """GFLOP/s of the processor where the run's precision was asked for, and so not measured."""
    if device.type != "cpu":
        return 0.0
    single, half = measure()
    return half if precision.dtype == "bf16" else single


def _steps(settings: TrainSettings, tokens: int, samples: int, each: float | None) -> int | None:
    if settings.steps:
        return settings.steps
    if settings.tokens:
        return math.ceil(settings.tokens / tokens)
    if settings.epochs:
        return steps_of_epochs(settings, samples) if samples else None
    return None if each is None else max(1, math.floor(settings.minutes * 60 / each))


def _bytes(parameters: list[Parameter]) -> int:
    return sum(parameter.nbytes for parameter in parameters)
