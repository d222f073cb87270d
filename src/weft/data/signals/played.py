"""Episodes that are played on the spot: a controller of mixed quality in its world, the same for the same seed."""

from __future__ import annotations

import numpy as np

from weft.data.order import mix
from weft.data.progress import counted
from weft.data.signals.controllers import CONTROLLERS
from weft.data.signals.episodes import Episodes
from weft.data.signals.worlds import World
from weft.data.sources import Say, quiet

MOST_EPISODES = 100_000


def play(world: World, name: str, count: int, seed: int, say: Say = quiet) -> Episodes:
    """So many episodes of the controller of this world, each a function of (seed, its number). ValueError for a world
    that none is written for."""
    if name not in CONTROLLERS.names():
        raise ValueError(
            f"nobody here knows how to play {name}: {', '.join(CONTROLLERS.names())} are played; give episodes of your "
            "own (--data FILE)"
        )
    if not 1 <= count <= MOST_EPISODES:
        raise ValueError(f"data.count={count}, but it is a number of episodes: from 1 to {MOST_EPISODES:,}")
    controller, advance = CONTROLLERS.get(name), counted(say, f"episodes of {name}", count)
    states, actions, rewards, lengths = list[np.ndarray](), list[np.ndarray](), list[float](), list[int]()
    for number in range(count):
        policy, before = controller(np.random.default_rng(mix(seed, number, 1))), len(rewards)
        state, over = world.begin(mix(seed, number)), False
        while not over and len(rewards) - before < world.rules.steps:
            action = policy(state, len(rewards) - before)
            states.append(state)
            actions.append(action)
            state, reward, over = world.act(action)
            rewards.append(reward)
        lengths.append(len(rewards) - before)
        advance(1)
    return Episodes(
        np.stack(states), np.stack(actions), np.array(rewards), np.array(lengths, np.int64), world.rules.discrete
    )
