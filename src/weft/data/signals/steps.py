"""What makes rows of episodes: each step a vector [return to go | state | action], scaled; and rows of windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from weft.batch import Batch, Place
from weft.data.blocks import check
from weft.data.order import Shuffled, mix
from weft.data.signals.episodes import Episode, Episodes, one_of, read_episodes
from weft.data.signals.series import fp32

LEAST = 1e-6  # of a deviation, beside the size of its numbers: less is no variation
MOST_WINDOW = 4096
_WORD = 2.0**64


@dataclass(frozen=True)
class Steps:
    """Steps [return to go | state | action] as rows of vectors, the return and each number of the state by the mean and
    deviation of what was trained on.

    action: the numbers of one, or how many there are. low, high: what its numbers lie between, as -1 and 1 of a row;
    empty: it is one of several, 1 at its number and 0 elsewhere. window: steps that a row has, and the model looks back
    on. returns: False, they are 0 in every row, and the model clones what was done. lowest, highest: the returns
    between which some are asked for. world: what its model is to act in, "": nobody said; steps: of its longest
    episode.
    """

    state_mean: tuple[float, ...]
    state_std: tuple[float, ...]
    return_mean: float
    return_std: float
    action: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    window: int
    returns: bool
    lowest: float
    highest: float
    world: str
    steps: int

    def __post_init__(self) -> None:
        if len(self.state_mean) != len(self.state_std) or not self.state_mean:
            raise ValueError(
                f"{len(self.state_mean)} means of states and {len(self.state_std)} deviations: one of each"
            )
        if min(*self.state_std, self.return_std) <= 0:
            raise ValueError("states and returns are divided by their deviations: above 0")
        if len(self.low) != len(self.high) or (self.low and len(self.low) != self.action) or self.action < 1:
            raise ValueError(f"actions of {self.action} numbers have {len(self.low)} and {len(self.high)} bounds")
        if any(low >= high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"low = {self.low} and high = {self.high}: the first is below the other, of each number")
        if not 1 <= self.window <= MOST_WINDOW or self.steps < 1:
            raise ValueError(f"window = {self.window}, steps = {self.steps}: 1 to {MOST_WINDOW}, and at least 1")

    @property
    def state(self) -> int:
        """Numbers of a state."""
        return len(self.state_mean)

    @property
    def discrete(self) -> bool:
        """Whether an action is one of several."""
        return not self.low

    @property
    def channels_of_place(self) -> int:
        """Numbers of a step."""
        return 1 + self.state + self.action

    def targets(self, count: int) -> np.ndarray:
        """fp64 [count]: returns to ask for, evenly from the lowest to the highest."""
        return np.linspace(self.lowest, self.highest, count)

    def read(self, path: Path) -> np.ndarray:
        """The one episode in a file, fp64 [T, 1 + S + A], see `steps_of`. ValueError where there are several."""
        found = read_episodes(path)
        if len(found) != 1:
            raise ValueError(f"{path} holds {len(found)} episodes, and one is read here: name a file with one")
        return self.steps_of(found[0], str(path))

    def steps_of(self, episode: Episode, where: str, asked: float | None = None) -> np.ndarray:
        """An episode's steps, fp64 [T, 1 + S + A]; an action that is not known yet is as good as none. asked: the
        return that it is to come to; None: that which it came to. ValueError, naming `where`, for states or actions
        that are not the model's."""
        if episode.states.shape[1] != self.state:
            raise ValueError(
                f"{where}: states of {episode.states.shape[1]} numbers, and the model reads {self.state}: give it "
                "episodes of its own world"
            )
        if self.discrete != (episode.actions.ndim == 1) or (
            not self.discrete and episode.actions.shape[1] != self.action
        ):
            theirs = "one of several" if episode.actions.ndim == 1 else f"{episode.actions.shape[1]} numbers"
            ours = f"one of {self.action}" if self.discrete else f"{self.action} numbers"
            raise ValueError(
                f"{where}: an action is {theirs}, the model's is {ours}: give it episodes of its own world"
            )
        made = np.zeros((len(episode.states), self.channels_of_place))
        done = len(episode.actions)
        earned = np.concatenate(([0.0], episode.rewards.cumsum()))[: len(made)]  # before each step
        made[:, 0] = (episode.rewards.sum() if asked is None else asked) - earned
        made[:, 1 : 1 + self.state] = episode.states
        actions = one_of(episode.actions, self.action, where) if self.discrete else episode.actions
        made[:done, 1 + self.state :] = actions
        if not self.discrete:
            made[done:, 1 + self.state :] = (np.array(self.low) + np.array(self.high)) / 2  # 0 in a row
        return made

    def rows(self, signals: np.ndarray) -> np.ndarray:
        """Steps [.., 1 + S + A] in the world's units -> fp32, scaled. ValueError for another number of channels, and
        see `fp32`."""
        if signals.shape[-1] != self.channels_of_place:
            raise ValueError(
                f"a step has {self.channels_of_place} numbers, a return, {self.state} of a state and {self.action} of "
                f"an action, and these have {signals.shape[-1]}"
            )
        mean, std = self._scale()
        scaled = (signals - mean) / std
        if not self.returns:
            scaled[..., 0] = 0
        states = (f"number {number} of a state" for number in range(self.state))
        return fp32(scaled, ("the return", *states, *("an action" for _ in range(self.action))))

    def actions(self, told: np.ndarray) -> np.ndarray:
        """Numbers of actions as rows have them, [.., A], in the world's units and within its bounds."""
        low, high = np.array(self.low), np.array(self.high)
        return np.clip(told * (high - low) / 2 + (low + high) / 2, low, high)

    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.array(self.low), np.array(self.high)
        actions = ((low + high) / 2, (high - low) / 2) if self.low else (np.zeros(self.action), np.ones(self.action))
        mean = np.concatenate(([self.return_mean], self.state_mean, actions[0]))
        return mean, np.concatenate(([self.return_std], self.state_std, actions[1]))


class Windows(Shuffled):
    """Rows of at most `window` steps of episodes, as a function of (seed, epoch, sample).

    An episode of L steps has ceil((L + window - 1) / window) of them an epoch, each of which begins somewhere in its
    own part of the steps from 1 - window to L - 1 and is cut at the episode's ends: every step is read as often as
    every other, and as often at each place of a row.
    """

    def __init__(self, episodes: Episodes, processor: Steps, seed: int) -> None:
        self.episodes, self.processor, self.seed = episodes, processor, seed
        self.signals = np.concatenate((episodes.to_go[:, None], episodes.states, episodes.actions), axis=1)
        processor.rows(np.stack((self.signals.min(axis=0), self.signals.max(axis=0))))  # says what cannot be read
        span = processor.window
        parts = -(-(episodes.lengths + span - 1) // span)  # [E]
        self.owner = np.repeat(np.arange(len(parts)), parts)  # [samples] whose window it is
        self.part = np.arange(len(self.owner)) - np.repeat(parts.cumsum() - parts, parts)  # [samples] which of its own
        self.parts, self.starts = parts, episodes.starts

    def __len__(self) -> int:
        """Samples in an epoch."""
        return len(self.owner)

    def batch(self, places: Sequence[Place]) -> Batch:
        """These samples: tokens fp32 [B, window, 1 + S + A], the number of each step in its episode as order, padded on
        the right."""
        rows, span = check(places, len(self)), self.processor.window
        within = np.array([mix(self.seed, epoch, sample) / _WORD for epoch, sample in places])  # [B] of its part
        owner = self.owner[rows]
        length = self.episodes.lengths[owner]
        first = (
            np.floor((self.part[rows] + within) * (length + span - 1) / self.parts[owner]).astype(np.int64) - span + 1
        )
        begin, end = np.maximum(first, 0), np.minimum(first + span, length)
        times = begin[:, None] + np.arange(span)  # [B, window]
        there = times < end[:, None]
        times = np.where(there, times, 0)
        signals = self.processor.rows(self.signals[self.starts[owner][:, None] + times])
        return Batch(
            tokens=torch.from_numpy(np.where(there[..., None], signals, np.float32(0))),
            order=torch.from_numpy(times),
            segments=torch.from_numpy(there.astype(np.int64)),
            samples=tuple(rows.tolist()),
        )


def fitted(episodes: Episodes, rules: Scaling, *, window: int, returns: bool) -> Steps:
    """The processor of what is trained on."""
    to_go, mean = episodes.to_go, episodes.states.mean(axis=0, dtype=np.float64)
    std = episodes.states.std(axis=0, dtype=np.float64)
    std = np.where(std <= LEAST * np.maximum(1, np.abs(mean)), 1.0, std)  # what does not vary is left where it is
    low, high = rules.low, rules.high
    if not episodes.discrete and not low:
        least, most = episodes.actions.min(axis=0), episodes.actions.max(axis=0)
        low = tuple(map(float, np.where(least < most, least, least - 1)))
        high = tuple(map(float, np.where(least < most, most, most + 1)))
    lowest, highest = np.quantile(episodes.returns, (0.05, 0.95))
    return Steps(
        state_mean=tuple(map(float, mean)),
        state_std=tuple(map(float, std)),
        return_mean=float(to_go.mean()),
        return_std=float(to_go.std()) or 1.0,
        action=episodes.actions.shape[1],
        low=low,
        high=high,
        window=window,
        returns=returns,
        lowest=float(lowest),
        highest=float(highest),
        world=rules.world,
        steps=max(rules.steps, int(episodes.lengths.max())),
    )


@dataclass(frozen=True)
class Scaling:
    """What is known of a world beside its episodes: its name, the bounds of its actions, the steps it allows. Empty and
    0: nobody said."""

    world: str = ""
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    steps: int = 0
