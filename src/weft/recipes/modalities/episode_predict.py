"""What a model would do next in episodes that a person names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from weft.data.progress import counted
from weft.data.sides import held_out, of_part
from weft.data.signals import EpisodeSettings, Steps
from weft.data.signals.control import named
from weft.data.signals.episodes import Episode
from weft.data.sources import Say, quiet
from weft.evaluate import METRICS, Score
from weft.files import write_bytes
from weft.hub import Model, load
from weft.recipes.folder import Own, own_data
from weft.recipes.predicted import Predicted
from weft.recipes.rollouts import next_actions, reader_of, scores
from weft.training.world import place

ROWS = 256  # windows of a pass


def predict_episodes(
    folder: Path | str,
    data: Path | str,
    out: Path | str | None,
    *,
    labelled: bool = False,
    device: str = "auto",
    say: Say = quiet,
) -> Predicted:
    """Write one JSON object for each episode of a file or folder: the action at its last state, by the return that is
    asked of it (where it says none: the highest the model was trained to be asked) less what it has earned so far.

    out: None writes nothing. labelled: what was done is known of every step, and it is scored: told from the return
    that came, as the share of actions that are right, or the mean squared error of their numbers; of episodes that the
    model was trained on those that were held out. ValueError or DamagedFile names what is wrong.
    """
    model = load(folder, device=device if device != "auto" else place("auto"))
    processor, path = reader_of(model, folder), Path(data)
    own = own_data(Path(folder), path) if labelled else None
    if own is None:
        episodes, apart = [episode for *_, episode in named(path)], False
    else:
        episodes, apart = _own(own, say)
    for number, episode in enumerate(episodes):
        _fits(processor, episode, f"{path}, episode {number}")
    if out is not None:
        lines = [_next(model, processor, episode, number, str(path)) for number, episode in enumerate(episodes)]
        write_bytes(Path(out), "".join(json.dumps(line) + "\n" for line in lines).encode())
    score = _score(model, processor, episodes, str(path), say) if labelled else None
    return Predicted(len(episodes), score, None, apart=apart)


def _own(own: Own, say: Say) -> tuple[list[Episode], bool]:
    """Those of one of a run's paths that are asked, see `of_part`."""
    settings: EpisodeSettings = own.settings
    parts = [named(Path(path)) for path in settings.paths]
    names, sides, _ = zip(*(one for part in parts for one in part), strict=True)
    held = own.still(held_out(names, sides, settings.held_out, settings.seed), names, sides)
    found, apart = of_part(held, sides, parts, own.number, "episodes", say)
    return [episode for *_, episode in found], apart


def _fits(processor: Steps, episode: Episode, where: str) -> None:
    if len(episode.states) > processor.steps:
        raise ValueError(f"{where} has {len(episode.states)} steps, and the model knows {processor.steps}: cut it")


def _next(model: Model, processor: Steps, episode: Episode, number: int, path: str) -> dict[str, Any]:
    asked = processor.highest if episode.asked is None else episode.asked
    last = len(episode.states) - 1
    steps = processor.steps_of(episode, f"{path}, episode {number}", asked)[-processor.window :]
    told = next_actions(model, processor, steps[None], last)[0]
    line: dict[str, Any] = {"episode": number, "step": last}
    if processor.returns:
        line |= {"asked": asked, "to_go": float(steps[-1, 0])}
    if not processor.discrete:
        return line | {"action": [round(float(value), 6) for value in told]}
    return line | {"action": int(told.argmax()), "probabilities": [round(float(value), 4) for value in told]}


@torch.inference_mode()
def _score(model: Model, processor: Steps, episodes: list[Episode], path: str, say: Say) -> Score:
    """Of every step, told from as many before it as a row has."""
    told, done = list[np.ndarray](), list[np.ndarray]()
    advance = counted(say, "episodes", len(episodes))
    for number, episode in enumerate(episodes):
        where = f"{path}, episode {number}"
        if len(episode.actions) != len(episode.states):
            raise ValueError(f"{where}: nothing says what was done at its last step: leave --score out")
        steps = processor.steps_of(episode, where)
        told.append(_each(model, processor, steps))
        done.append(steps[:, 1 + processor.state :])
        advance(1)
    guesses, gold = np.concatenate(told), np.concatenate(done)  # [N, A]
    if processor.discrete:
        return METRICS.get("accuracy").score(guesses.argmax(axis=1).tolist(), gold.argmax(axis=1).tolist())
    return METRICS.get("mse").score(processor.actions(guesses).ravel(), gold.ravel())


def _each(model: Model, processor: Steps, steps: np.ndarray) -> np.ndarray:
    """What the head says at each step [T, A]: at those of the first window at once, at the others each at the end of
    its own window."""
    span, rows = processor.window, torch.from_numpy(processor.rows(steps))
    parts = [scores(model, rows[None, :span], 0)[0]]
    windows = rows.unfold(0, span, 1).transpose(1, 2)[1:] if len(rows) > span else rows[:0, None]  # [n, span, C]
    for start in range(len(windows)):
        parts.append(scores(model, windows[start : start + 1], start + 1)[0, -1:])
    return torch.cat(parts).numpy()
