"""Worlds that are acted in, step by step: gymnasium's environments by their names, and two small ones of our own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np

from weft.registry import Registry, nearest

LONGEST = 1000  # steps of an episode in a world that sets no limit
MOST = 100_000  # steps that a world may allow an episode


@dataclass(frozen=True)
class Rules:
    """state: its numbers; action: its numbers, or how many actions there are; low, high: what each number of an action
    lies between, empty where one of several is chosen; steps: the most of an episode."""

    state: int
    action: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    steps: int

    @property
    def discrete(self) -> bool:
        """Whether an action is one of several."""
        return not self.low


class Step(NamedTuple):
    """What comes of an action: the next state fp32 [S], its reward, and whether the episode is over."""

    state: np.ndarray
    reward: float
    over: bool


class World(Protocol):
    """What is acted in. An action is a vector fp32 [A]: its numbers, or 1 at the number of the one that is chosen and 0
    elsewhere."""

    rules: Rules

    def begin(self, seed: int) -> np.ndarray:
        """The first state of an episode, fp32 [S], as a function of the seed; so is all that follows an action."""
        ...

    def act(self, action: np.ndarray) -> Step:
        """Do this, and see what comes of it. The limit of steps is the caller's to keep."""
        ...


WORLDS: Registry[Callable[[], World]] = Registry("world", "weft.worlds", ())


def open_world(name: str) -> World:
    """A world of ours, or gymnasium's environment of this name. ValueError where there is none, where gymnasium is not
    installed, and for one whose states or actions are none of ours."""
    if name in WORLDS.names():
        return WORLDS.get(name)()
    if not name:
        raise ValueError("no world is named, and something is to be done in one: set data.world=CartPole-v1, say")
    return Gymnasium(name)


class Gymnasium(World):
    """An environment of gymnasium's (an extra), whose states are a vector of numbers."""

    def __init__(self, name: str) -> None:
        gymnasium = _library()
        if name not in gymnasium.registry:
            near = nearest(name, [*WORLDS.names(), *gymnasium.registry])
            hint = f"did you mean {near}? " if near else ""
            raise ValueError(
                f"there is no world {name!r}; {hint}it is an environment of gymnasium's (`python -m gymnasium` knows "
                f"them), or one of weft's own: {', '.join(WORLDS.names())}"
            )
        try:
            self.inside = gymnasium.make(name, disable_env_checker=True)
        except Exception as error:  # whatever an environment's own library raises
            raise ValueError(f"gymnasium cannot make {name!r}: {error}") from error
        self.rules = _rules(name, self.inside)

    def begin(self, seed: int) -> np.ndarray:
        state, _ = self.inside.reset(seed=seed % 2**31)
        return np.asarray(state, np.float32)

    def act(self, action: np.ndarray) -> Step:
        told = int(action.argmax()) if self.rules.discrete else np.asarray(action, np.float32)
        state, reward, ended, cut, _ = self.inside.step(told)
        return Step(np.asarray(state, np.float32), float(reward), bool(ended or cut))


def _library() -> Any:
    try:
        return import_module("gymnasium")
    except ImportError as error:
        raise ValueError(
            "acting in an environment needs gymnasium, which is not installed: pip install 'weft[control]'"
        ) from error


def _rules(name: str, inside: Any) -> Rules:
    """What its spaces say."""
    states, actions = inside.observation_space, inside.action_space
    kinds = type(states).__name__, type(actions).__name__
    if kinds[0] != "Box" or len(states.shape) != 1 or kinds[1] not in ("Box", "Discrete"):
        raise ValueError(
            f"{name} has the states {states} and the actions {actions}; states are a vector of numbers (Box), and "
            "actions one of several (Discrete) or a vector (Box): choose another"
        )
    limit = inside.spec.max_episode_steps if inside.spec is not None else None
    steps = LONGEST if limit is None else int(limit)
    if not 1 <= steps <= MOST:
        raise ValueError(f"{name} allows episodes of {steps:,} steps; 1 to {MOST:,} are acted: choose another")
    if kinds[1] == "Discrete":
        if int(actions.start) != 0:
            raise ValueError(f"{name} numbers its actions from {actions.start}, and weft from 0: choose another")
        return Rules(states.shape[0], int(actions.n), (), (), steps)
    low, high = (tuple(map(float, np.ravel(bound))) for bound in (actions.low, actions.high))
    if len(actions.shape) != 1 or not all(map(math.isfinite, (*low, *high))):
        raise ValueError(f"{name} has the actions {actions}; those of a vector have finite bounds: choose another")
    return Rules(states.shape[0], len(low), low, high, steps)


class Points(World):
    """A point on a line, for runs that must need nothing: each step it goes left, stays or goes right, or is pushed;
    the nearer it is to 0, the more it earns (1 - |x|), and beyond 1.5 the episode is over. States are [x, |x|]."""

    def __init__(self, *, discrete: bool) -> None:
        self.rules = Rules(2, 3, (), (), 20) if discrete else Rules(2, 1, (-1.0,), (1.0,), 20)
        self.x = 0.0

    def begin(self, seed: int) -> np.ndarray:
        self.x = float(np.random.default_rng(seed).uniform(-1, 1))
        return self._state()

    def act(self, action: np.ndarray) -> Step:
        push = int(action.argmax()) - 1 if self.rules.discrete else float(np.clip(action[0], -1, 1))
        self.x += 0.2 * push
        return Step(self._state(), 1 - abs(self.x), abs(self.x) > 1.5)

    def _state(self) -> np.ndarray:
        return np.array([self.x, abs(self.x)], np.float32)


WORLDS.register("points", lambda: Points(discrete=True))
WORLDS.register("pushes", lambda: Points(discrete=False))
