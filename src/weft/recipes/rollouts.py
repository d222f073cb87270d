"""A model acts in a world: the return that is asked of it, and the one it comes to (Chen et al. 2021, §3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from weft.data.order import mix
from weft.data.progress import counted
from weft.data.signals import EpisodeSettings, Steps
from weft.data.signals.worlds import World, open_world
from weft.data.sources import Say, quiet
from weft.evaluate import METRICS, Score
from weft.hub import Model, load
from weft.nn import Encoder, Layout

AT_ONCE = 256  # episodes side by side


@dataclass(frozen=True, eq=False)
class Rolled:
    """asked, got: fp64 [N], a return each; of a model that clones, nothing was asked, and asked is None."""

    world: str
    asked: np.ndarray | None
    got: np.ndarray

    @property
    def highest(self) -> np.ndarray:
        """What came of the highest return that was asked; of a model that clones, of all episodes."""
        return self.got if self.asked is None else self.got[self.asked == self.asked.max()]

    def table(self) -> list[tuple[float, float, float, int]]:
        """Of each return that was asked: it, the mean of those that came, its standard error, and how many came."""
        if self.asked is None:
            return []
        return [(float(one), *mean_of(self.got[self.asked == one])) for one in np.unique(self.asked)]


def reader_of(model: Model, where: Path | str) -> Steps:
    """What makes rows of a model's steps. ValueError for one that reads none."""
    if model.reads is None or not isinstance(model.reads.processor, Steps):
        raise ValueError(f"{where} reads no episodes: name a model that was trained on some")
    return model.reads.processor


def roll(model: Model, processor: Steps, settings: EpisodeSettings, seed: int, say: Say = quiet) -> Rolled:
    """So many returns asked, each in so many episodes, which begin alike for each: as a function of the seed. A model
    that clones acts in as many episodes, each with a beginning of its own. ValueError where no world is known, or it
    has other states or actions than the model."""
    if not processor.world:
        actions = f"one of {processor.action}" if processor.discrete else f"{processor.action} numbers"
        raise ValueError(
            f"nobody said what world this model is to act in: train it with data.world=NAME, one whose states are "
            f"{processor.state} numbers and whose actions are {actions}"
        )
    rules = open_world(processor.world).rules
    ours, theirs = (processor.state, processor.action, processor.discrete), (rules.state, rules.action, rules.discrete)
    if ours != theirs:
        raise ValueError(
            f"{processor.world} has states of {theirs[0]} numbers and actions of {theirs[1]}, and the model reads "
            f"{ours[0]} and {ours[1]}: it is another world by now"
        )
    count = settings.targets * settings.rollouts
    if processor.returns:
        asked = np.repeat(processor.targets(settings.targets), settings.rollouts)
        begins = [mix(seed, number % settings.rollouts, 0) for number in range(count)]
    else:
        asked, begins = np.zeros(count), [mix(seed, number, 0) for number in range(count)]
    parts, advance = list[np.ndarray](), counted(say, f"episodes in {processor.world}", count)
    for start in range(0, count, AT_ONCE):
        some = slice(start, min(start + AT_ONCE, count))
        draws = [np.random.default_rng(mix(seed, number, 1)) for number in range(some.start, some.stop)]
        parts.append(act(model, processor, asked[some], begins[some], draws))
        advance(len(parts[-1]))
    return Rolled(processor.world, asked if processor.returns else None, np.concatenate(parts))


def act(
    model: Model,
    processor: Steps,
    asked: np.ndarray,
    begins: Sequence[int],
    draws: Sequence[np.random.Generator],
) -> np.ndarray:
    """One episode for each return asked, fp64 [N], side by side: the returns that come, fp64 [N]. begins: the seed of
    each one's world; draws: what its actions are drawn by, where they are one of several."""
    worlds: list[World] = [open_world(processor.world) for _ in begins]
    states = np.stack([world.begin(begin) for world, begin in zip(worlds, begins, strict=True)])
    got, still = np.zeros(len(worlds)), np.arange(len(worlds))
    past = np.zeros((len(worlds), 0, processor.channels_of_place))  # the steps that are looked back on
    neutral = np.zeros(processor.action) if processor.discrete else processor.actions(np.zeros(processor.action))
    for time in range(worlds[0].rules.steps):
        now = np.concatenate(((asked - got)[still, None], states, np.tile(neutral, (len(still), 1))), axis=1)
        past = np.concatenate((past, now[:, None]), axis=1)[:, -processor.window :]  # [n, up to window, C]
        told = next_actions(model, processor, past, time)  # [n, A]
        if processor.discrete:
            told = _drawn(told, [draws[row] for row in still.tolist()])
        past[:, -1, 1 + processor.state :] = told
        steps = [worlds[row].act(action) for row, action in zip(still, told.astype(np.float32), strict=True)]
        got[still] += [step.reward for step in steps]
        on = np.array([not step.over for step in steps])
        still, past = still[on], past[on]
        if not len(still):
            break
        states = np.stack([step.state for step in steps if not step.over])
    return got


@torch.inference_mode()
def next_actions(model: Model, processor: Steps, steps: np.ndarray, time: int) -> np.ndarray:
    """What a model would do at the last of some steps [N, T, 1 + S + A], of which it is number `time` in its episode:
    p of each action, or an action's numbers, in the world's units; fp64 [N, A]."""
    told = scores(model, torch.from_numpy(processor.rows(steps)), time - steps.shape[1] + 1)[:, -1]
    return told.softmax(dim=-1).numpy() if processor.discrete else processor.actions(told.numpy())


def scores(model: Model, rows: Tensor, first: int) -> Tensor:
    """What the head "action" says at each step, fp64 [N, T, A]. rows: fp32 [N, T, 1 + S + A]; first: the number of the
    first step in its episode. ValueError for a model without that head."""
    module = model.module
    if not isinstance(module, Encoder) or "action" not in module.heads:
        raise ValueError("this model has no head for actions, so it does nothing: train one")
    device = next(module.parameters()).device
    order = first + torch.arange(rows.shape[1], device=device)[None].expand(len(rows), -1)  # [N, T]
    hidden, _ = module(rows.to(device), Layout(order=order))
    return module.logits(hidden, "action").double().cpu()


def _drawn(shares: np.ndarray, draws: Sequence[np.random.Generator]) -> np.ndarray:
    """One of several actions by their p [N, A], each by its own draw: fp64 [N, A], 1 at its number."""
    drawn = np.array([draw.random() for draw in draws])
    chosen = (shares.cumsum(axis=1) / shares.sum(axis=1, keepdims=True) <= drawn[:, None]).sum(axis=1)
    return np.eye(shares.shape[1])[np.minimum(chosen, shares.shape[1] - 1)]


def mean_of(values: np.ndarray) -> tuple[float, float, int]:
    """The mean, its standard error, and of how many."""
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5), len(values)


def judged(rolled: Rolled, cloned: Rolled | None) -> dict[str, Score]:
    """The figures of what was asked and what came, each with its definition. cloned: of a model that clones."""
    mean, error, count = mean_of(rolled.highest)
    said = f"of {count} episodes in {rolled.world}, standard error {error:.4g}"
    if rolled.asked is None:
        return {"mean_return": Score(mean, f"{said}; no return is asked", "mean_return")}
    rank = METRICS.get("spearman").score(rolled.got, rolled.asked)
    asked = len(np.unique(rolled.asked))
    found = {
        "spearman": replace(rank, signature=f"{rank.signature}; of {len(rolled.got)} returns, of {asked} asked"),
        "highest_return": Score(mean, f"{said}, of which {rolled.asked.max():.4g} is asked", "highest_return"),
    }
    if cloned is not None:
        other, its_error, others = mean_of(cloned.highest)
        over = (mean - other) / max((error**2 + its_error**2) ** 0.5, 1e-9)
        said = f"standard errors above cloning, {other:.4g} of {others} episodes, standard error {its_error:.4g}"
        found["above_cloning"] = Score(over, said, "above_cloning")
    return found


def clone(settings: EpisodeSettings, world: str, seed: int, device: str, say: Say = quiet) -> Rolled | None:
    """What the model that clones comes to, beside which another is judged; None where none is named. ValueError for one
    that is asked for returns, or that acts in another world."""
    if not settings.against:
        return None
    model = load(settings.against, device=device)
    processor = reader_of(model, settings.against)
    if processor.returns or processor.world != world:
        known = "is asked for returns" if processor.returns else f"acts in {processor.world or 'no world'}"
        raise ValueError(f"data.against={settings.against} {known}: name a model that clones, and acts in {world}")
    return roll(model, processor, settings, seed, say)
