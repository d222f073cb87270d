"""Those who play in a world, well and badly: controllers written by hand, of which each episode has another quality."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from weft.registry import Registry

Policy = Callable[[np.ndarray, int], np.ndarray]  # a state fp32 [S] and the number of the step -> an action fp32 [A]
Controller = Callable[[np.random.Generator], Policy]  # what is drawn of an episode -> how it is played
CONTROLLERS: Registry[Controller] = Registry("controller", "weft.controllers", ())  # by the world they play in

LEFT, RIGHT = np.eye(2, dtype=np.float32)


def pole(draw: np.random.Generator) -> Policy:
    """CartPole: keeps the cart under the pole, and lets go: from a step on, drawn evenly from all 500, it does
    anything; before that, now and then."""
    stops, rate = int(draw.integers(0, 500)) if draw.random() < 0.8 else 500, float(draw.uniform(0, 0.3))

    def act(state: np.ndarray, step: int) -> np.ndarray:
        x, speed, angle, turning = map(float, state)
        if draw.random() < (1.0 if step >= stops else rate):
            return RIGHT if draw.random() < 0.5 else LEFT
        return RIGHT if angle + 0.3 * turning + 0.03 * x + 0.08 * speed > 0 else LEFT

    return act


def pendulum(draw: np.random.Generator) -> Policy:
    """Pendulum: swings up by its energy and stays upright (Åström & Furuta 2000), from a step on that is drawn evenly
    from all 200; before that it brakes. Some torques are drawn instead."""
    begins, rate = int(draw.integers(0, 200)) if draw.random() < 0.9 else 0, float(draw.uniform(0, 0.3))

    def act(state: np.ndarray, step: int) -> np.ndarray:
        cosine, sine, speed = map(float, state)
        if draw.random() < rate:
            torque = draw.uniform(-2, 2)
        elif step < begins:
            torque = -speed
        else:
            torque = _upwards(math.atan2(sine, cosine), speed)
        return np.array([min(2.0, max(-2.0, torque))], np.float32)

    return act


def _upwards(angle: float, speed: float) -> float:
    """angle: 0 is upright. Torques of a rod of mass and length 1, in a gravity of 10."""
    if abs(angle) < 0.5 and abs(angle + 0.3 * speed) < 0.5:
        return -(12 * angle + 3 * speed)
    lacks = 5 - (speed * speed / 6 + 5 * math.cos(angle))  # of the energy it has upright and still
    return 2.0 * lacks * (1 if speed > 0 else -1)


def points(draw: np.random.Generator) -> Policy:
    """Goes to the middle, but for a share of its steps, drawn evenly."""
    rate = float(draw.uniform())

    def act(state: np.ndarray, step: int) -> np.ndarray:
        x = float(state[0])
        towards = 1 if abs(x) < 0.1 else 0 if x > 0 else 2
        return np.eye(3, dtype=np.float32)[int(draw.integers(3)) if draw.random() < rate else towards]

    return act


def pushes(draw: np.random.Generator) -> Policy:
    """The same, of pushes."""
    rate = float(draw.uniform())

    def act(state: np.ndarray, step: int) -> np.ndarray:
        push = draw.uniform(-1, 1) if draw.random() < rate else -5 * float(state[0])
        return np.array([min(1.0, max(-1.0, push))], np.float32)

    return act


CONTROLLERS.register("CartPole-v1", pole)
CONTROLLERS.register("Pendulum-v1", pendulum)
CONTROLLERS.register("points", points)
CONTROLLERS.register("pushes", pushes)
