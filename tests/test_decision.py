"""Decision Transformer: what each place sees, timesteps and padding, discrete actions, and the objective of actions."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from parts import close, randomised
from torch import Tensor, nn
from torch.nn import functional

from weft.batch import IGNORED, Batch
from weft.models import Blueprint
from weft.nn import Layout
from weft.objectives import OBJECTIVES
from weft.objectives.actions import Actions

ALL = ["action", "return", "state"]


def model(**changes: Any) -> nn.Module:
    return randomised(Blueprint.of("decision_transformer", "debug", **({"tasks": ALL} | changes)).build())


def told(module: nn.Module, rows: Tensor, here: Layout | None = None) -> dict[str, Tensor]:
    hidden, _ = module(rows, here)
    return {task: module.logits(hidden, task) for task in module.heads}  # type: ignore[operator, union-attr]


def played(rows: int = 3, length: int = 6, discrete: bool = False) -> Tensor:
    """[B, T, 1 + 5 + 3]."""
    made = torch.randn(rows, length, 9)
    if discrete:
        made[..., 6:] = functional.one_hot(torch.randint(3, (rows, length)), 3).float()
    return made


@torch.no_grad()
@pytest.mark.parametrize(("part", "place"), [(slice(0, 1), "return"), (slice(1, 6), "state"), (slice(6, 9), "action")])
def test_an_action_is_told_from_its_state_and_what_came_before(part: slice, place: str) -> None:
    """A number that is changed at timestep 3 changes no prediction before it; its own action is not among what an
    action is told from."""
    module, rows = model(), played(1)
    changed = rows.clone()
    changed[:, 3, part] += 1.0
    before, after = told(module, rows), told(module, changed)
    for task in ALL:
        same = [bool(torch.equal(before[task][0, t], after[task][0, t])) for t in range(6)]
        first = 4 if (task, place) == ("action", "action") else 3
        assert same == [t < first for t in range(6)], (task, place)


@torch.no_grad()
def test_a_row_is_itself_whatever_is_beside_it_and_wherever_it_begins() -> None:
    module, lengths = model(), torch.tensor([6, 1, 4])
    rows, first = played(), torch.tensor([0, 30, 11])
    alone = [
        told(module, rows[i : i + 1, :n], Layout(order=(first[i] + torch.arange(n))[None]))
        for i, n in enumerate(lengths.tolist())
    ]
    for side in ("left", "right"):
        there = Layout.ragged(lengths, 6, side=side).segments
        assert there is not None
        batch, times = torch.full_like(rows, 9.0), torch.full((3, 6), 10**6)  # which padding may say
        for i, n in enumerate(lengths.tolist()):
            batch[i, there[i] == 1], times[i, there[i] == 1] = rows[i, :n], first[i] + torch.arange(n)
        got = told(module, batch, Layout(order=times, segments=there))
        for task in ALL:
            for i in range(3):
                close(got[task][i, there[i] == 1], alone[i][task][0])
    plain = told(module, rows, Layout())
    counted = told(module, rows, Layout(order=torch.arange(6)[None].expand(3, -1)))
    for task in ALL:
        close(plain[task], counted[task])


@torch.no_grad()
def test_episodes_in_one_row_do_not_see_one_another() -> None:
    module, rows = model(), played(1)
    here = Layout(order=torch.tensor([[4, 5, 6, 0, 1, 2]]), segments=torch.tensor([[1, 1, 1, 2, 2, 2]]))
    both = told(module, rows, here)
    for part, first in ((slice(0, 3), 4), (slice(3, 6), 0)):
        alone = told(module, rows[:, part], Layout(order=first + torch.arange(3)[None]))
        for task in ALL:
            close(both[task][:, part], alone[task])


def test_what_is_no_row_of_timesteps_is_refused() -> None:
    module = model()
    with pytest.raises(ValueError, match="vectors of 9 numbers"):
        module(torch.randn(1, 4, 8))
    with pytest.raises(ValueError, match="timesteps 38 to 41, but trained ones are 0 to 39"):
        module(played(1, 4), Layout(order=torch.arange(38, 42)[None]))
    with pytest.raises(ValueError, match="41 tokens, .* end at 40"):
        module(played(1, 41))
    with pytest.raises(ValueError, match="no task is called 'reward'"):
        model(tasks=["reward"])


@pytest.mark.parametrize("bounded", [True, False])
def test_continuous_actions_are_bounded_where_that_is_asked(bounded: bool) -> None:
    found = told(model(bounded=bounded), 9 * played())["action"]
    assert bool((found.abs() <= 1).all()) == bounded


# ------------------------------------------------------------------------------------------------------- the objective


def batch_of(rows: Tensor, segments: Tensor | None = None, labels: Tensor | None = None) -> Batch:
    order = torch.arange(rows.shape[1]).expand(len(rows), -1)
    return Batch(rows, order=order, segments=segments, labels=labels)


SEGMENTS = torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6, [0, 0, 0, 0, 0, 1]])


@pytest.mark.parametrize("actions", ["continuous", "discrete"])
def test_it_is_the_error_of_each_action_that_is_there(actions: str) -> None:
    module, rows = model(actions=actions, tasks=["action"]), played(discrete=actions == "discrete")
    labels = torch.zeros(3, 6, dtype=torch.int64)
    labels[1, 2:4] = IGNORED
    for batch, asked in (
        (batch_of(rows), torch.ones(3, 6, dtype=torch.bool)),
        (batch_of(rows, SEGMENTS), SEGMENTS > 0),
        (batch_of(rows, SEGMENTS, labels), (SEGMENTS > 0) & (labels == 0)),
    ):
        loss = Actions().losses(module, batch)["loss"]
        found = told(module, rows, Layout(order=batch.order, segments=batch.segments))["action"]
        wanted = torch.zeros(())
        for row, time in asked.nonzero().tolist():
            if actions == "continuous":
                wanted = wanted + (found[row, time] - rows[row, time, 6:]).square().sum() / 3
            else:
                wanted = wanted - found[row, time].log_softmax(-1)[rows[row, time, 6:].argmax()]
        assert loss.count == Actions().counts(batch)["loss"] == int(asked.sum())
        torch.testing.assert_close(loss.sum, wanted)


@pytest.mark.parametrize("actions", ["continuous", "discrete"])
def test_micro_batches_add_up_and_nothing_gives_nothing(actions: str) -> None:
    """T6 and T7."""
    module = model(actions=actions, tasks=["action"])
    whole = batch_of(played(discrete=actions == "discrete"), SEGMENTS)
    weights = list(module.parameters())

    def gradients(batch: Batch) -> tuple[int, Tensor]:
        loss = Actions().losses(module, batch)["loss"]
        return loss.count, torch.cat([g.flatten() for g in torch.autograd.grad(loss.sum, weights)])

    count, wanted = gradients(whole)
    parts = [gradients(whole.rows(row, row + 1)) for row in range(3)]
    assert count == sum(part[0] for part in parts) == 11
    close(sum((part[1] for part in parts), torch.zeros(())), wanted, 1e-4)
    spoilt = whole.tokens.clone()
    spoilt[SEGMENTS == 0] = math.nan  # padding is not asked, whatever it holds
    assert torch.isfinite(Actions().losses(module, replace(whole, tokens=spoilt.nan_to_num(7.0)))["loss"].sum)
    nothing = replace(whole, labels=torch.full((3, 6), IGNORED))
    loss = Actions().losses(module.train(), nothing)["loss"]
    assert loss.count == 0 == Actions().counts(nothing)["loss"]
    assert float(loss.sum.detach()) == 0.0 and loss.sum.requires_grad


def test_the_best_constant_is_the_mean_action_or_their_shares() -> None:
    rows = played()
    batches = [batch_of(rows[:2]), batch_of(rows[2:], SEGMENTS[:1])]
    taken = torch.cat((rows[:2, :, 6:].flatten(0, 1), rows[2, 2:, 6:]))
    found = Actions().constant(model(tasks=["action"]), batches)
    assert found == pytest.approx(float(taken.var(dim=0, correction=0).mean()), rel=1e-5)
    chosen = played(discrete=True)
    shares = torch.bincount(chosen[..., 6:].argmax(-1).flatten(), minlength=3) / 18
    wanted = float(-(shares * shares.clamp(min=1e-9).log()).sum())
    assert Actions().constant(model(actions="discrete", tasks=["action"]), [batch_of(chosen)]) == pytest.approx(wanted)


@pytest.mark.parametrize("size", ["debug", "small"])
@pytest.mark.parametrize("actions", ["continuous", "discrete"])
def test_it_trains(size: str, actions: str) -> None:
    blueprint = Blueprint.of("decision_transformer", size, actions=actions, dropout=0.1)
    module, again = blueprint.build(seed=4).train(), blueprint.build(seed=4)
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), again.parameters(), strict=True))
    objective = OBJECTIVES.get("actions")()
    loss = objective.losses(module, batch_of(played(discrete=actions == "discrete"), SEGMENTS))["loss"]
    if actions == "discrete":
        assert float(loss.sum.detach()) / loss.count == pytest.approx(math.log(3), rel=0.1)
    loss.sum.backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name
    with torch.autocast("cpu", torch.bfloat16):
        assert objective.losses(module, batch_of(played()))["loss"].sum.dtype == torch.float32
