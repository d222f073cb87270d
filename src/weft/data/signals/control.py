"""From words on a command line to rows of episodes: read or played, split, a processor fitted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from weft.batch import Unfit
from weft.data import sides
from weft.data.names import Side, side_of
from weft.data.signals.episodes import ENDINGS, Episode, Episodes, joined, read_episodes
from weft.data.signals.listing import files_below
from weft.data.signals.played import play
from weft.data.signals.steps import MOST_WINDOW, Scaling, Steps, Windows, fitted
from weft.data.signals.worlds import Rules, open_world
from weft.data.sources import Say, quiet
from weft.registry import Registry

MADE = 60  # episodes of --debug
MOST_ROLLED = 10_000  # episodes in which a finished model acts


@dataclass(frozen=True)
class EpisodeSettings:
    """What is read, and what the finished model is asked for.

    source: a registered one ("episodes": files; "played": by a controller in `world`). paths: files and folders.
    world: what is acted in, gymnasium's name; of files it may be left out, and then nothing is. returns: False, the
    model is not told any, and clones. against: the folder of a model that clones, beside which this one is judged.
    """

    source: str = "episodes"
    paths: tuple[str, ...] = ()
    world: str = ""
    count: int = 1000  # episodes that are played
    window: int = 20  # steps of a row
    returns: bool = True
    held_out: float = 0.1  # share of the episodes that is never trained on
    seed: int = 0  # of what is played, and of the split
    targets: int = 10  # returns that are asked of the finished model, evenly spread
    rollouts: int = 20  # episodes of each
    against: str = ""

    def check(self) -> None:
        """ValueError, naming the setting, for what can be none."""
        if not 0 < self.held_out < 1:
            raise ValueError(
                f"data.held_out={self.held_out}, but a share of the episodes is held out: above 0, below 1"
            )
        if not 1 <= self.window <= MOST_WINDOW:
            raise ValueError(f"data.window={self.window}, but it is a number of steps: from 1 to {MOST_WINDOW:,}")
        if self.targets < 2 or self.rollouts < 2 or self.targets * self.rollouts > MOST_ROLLED:
            raise ValueError(
                f"data.targets={self.targets} and data.rollouts={self.rollouts}, but at least 2 returns are asked for, "
                f"each in at least 2 episodes, and in at most {MOST_ROLLED:,} together"
            )


@dataclass(frozen=True)
class Found:
    """What a source gives: episodes, and what is known of their world. names, sides: what each is called, and of which
    set it is; none: it is called by its number, and nobody said."""

    episodes: Episodes
    known: Scaling
    names: tuple[str, ...] = ()
    sides: tuple[Side | None, ...] = ()


@dataclass(frozen=True)
class Control:
    """Rows to train on and rows held out, and what made them. digest: of all of them: equal digests mean equal rows.
    split: of what the episodes are called, see `sides.digest`."""

    train: Windows
    held_out: Windows
    processor: Steps
    digest: str
    split: str
    notices: tuple[str, ...] = ()


EPISODE_SOURCES: Registry[Callable[[EpisodeSettings, Any, Say], Found]] = Registry(
    "source of episodes", "weft.episode_sources", ()
)


def prepare_episodes(settings: EpisodeSettings, config: Any, processor: Steps | None, say: Say = quiet) -> Control:
    """Rows for a model of these settings. processor: the one there is, which learns what world it is for where nobody
    had said it; None: one is fitted to what is trained on. ValueError for settings and files that give none, Unfit for
    episodes that are not of the processor's world."""
    settings.check()
    found = EPISODE_SOURCES.get(settings.source)(settings, config, say)
    names = found.names or tuple(map(str, range(len(found.episodes.lengths))))
    said = found.sides or (None,) * len(names)
    used, notices = sides.without_tests(names, said, "episodes")
    episodes, held = found.episodes.some(used), sides.held_out(names, said, settings.held_out, settings.seed)[used]
    sides.check_both(held, "episodes", sides.way_out(said, settings.held_out))
    learned = episodes.some(~held)
    if processor is None:
        processor = fitted(learned, found.known, window=settings.window, returns=settings.returns)
    _check(episodes, processor)
    processor = _placed(processor, found.known)
    train, held_out = (Windows(part, processor, settings.seed) for part in (learned, episodes.some(held)))
    low, high = episodes.returns.min(), episodes.returns.max()
    say(
        f"{len(learned.lengths):,} episodes to train on, {int(held.sum()):,} held out; {len(episodes.rewards):,} steps "
        f"with returns of {low:,.4g} to {high:,.4g}"
    )
    digest = hashlib.sha256(repr((processor, episodes.discrete)).encode())
    for part in (episodes.states, episodes.actions, episodes.rewards, episodes.lengths, held):
        digest.update(np.ascontiguousarray(part).data)
    split = sides.digest([names[at] for at in np.flatnonzero(used)], held)
    return Control(train, held_out, processor, digest.hexdigest(), split, notices)


def _check(episodes: Episodes, processor: Steps) -> None:
    """Unfit where they are not the processor's."""
    theirs = (episodes.states.shape[1], episodes.actions.shape[1], episodes.discrete)
    ours = (processor.state, processor.action, processor.discrete)
    for what, given, known in zip(("numbers of a state", "of an action", "one of several"), theirs, ours, strict=True):
        if given != known:
            raise Unfit(f"{what}: {given} in the episodes, and {known} in the model's: give it those of its world")


def _placed(processor: Steps, known: Scaling) -> Steps:
    """A processor in the world of its episodes, where one is known; its numbers stay scaled as its model reads them.
    Unfit where it is for another."""
    if known.world in ("", processor.world):
        return processor
    if processor.world:
        raise Unfit(
            f"data.world={known.world}, but the model is to act in {processor.world}: leave data.world out, or train a "
            "new model"
        )
    return replace(processor, world=known.world, steps=max(processor.steps, known.steps))


def read(settings: EpisodeSettings, config: Any, say: Say) -> Found:
    """Episodes from files, or from all files of folders."""
    if not settings.paths:
        raise ValueError(f"episodes come from files (--data FILE: {', '.join(ENDINGS)}), and none is given")
    rules = open_world(settings.world).rules if settings.world else None
    names, said, parts = zip(*(one for path in settings.paths for one in named(Path(path))), strict=True)
    where = settings.paths[0] if len(settings.paths) == 1 else f"{settings.paths[0]} and {len(settings.paths) - 1} more"
    episodes = joined(parts, where, rules.action if rules is not None and rules.discrete else None)
    if rules is None:
        return Found(episodes, Scaling(), names, said)
    theirs, ours = (
        (episodes.states.shape[1], episodes.discrete, episodes.actions.shape[1]),
        (rules.state, rules.discrete, rules.action),
    )
    if theirs != ours:
        said = [
            f"states of {state} numbers and {_said(action, discrete)}" for state, discrete, action in (theirs, ours)
        ]
        raise ValueError(f"{where} has {said[0]}, and data.world={settings.world} {said[1]}: name its own world")
    return Found(episodes, _scaling(settings.world, rules), names, said)


def _said(action: int, discrete: bool) -> str:
    return f"actions that are one of {action}" if discrete else f"actions of {action} numbers"


def named(path: Path) -> list[tuple[str, Side | None, Episode]]:
    """The episodes in a file, or in all files of a folder: what each is called, of which set its file is, and it."""
    return [
        (f"{file.name}#{number}", side_of(file.name), episode)
        for file in _files(path)
        for number, episode in enumerate(read_episodes(file))
    ]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = files_below(path, ENDINGS, depths=(0,))
    if not found:
        raise ValueError(f"{path} holds no episodes: they are read from {', '.join(ENDINGS)}")
    return found


def _scaling(name: str, rules: Rules) -> Scaling:
    return Scaling(name, rules.low, rules.high, rules.steps)


def played(settings: EpisodeSettings, config: Any, say: Say) -> Found:
    """Episodes of the world that is named, played by its controller."""
    world = open_world(settings.world)
    return Found(play(world, settings.world, settings.count, settings.seed, say), _scaling(settings.world, world.rules))


def made(settings: EpisodeSettings, config: Any, say: Say) -> Found:
    """Episodes of a point on a line, which need no gymnasium; its actions are of the kind the model has."""
    name = "points" if config.actions == "discrete" else "pushes"
    world = open_world(name)
    return Found(play(world, name, MADE, settings.seed, say), _scaling(name, world.rules))


EPISODE_SOURCES.register("episodes", read)
EPISODE_SOURCES.register("played", played)
EPISODE_SOURCES.register("made_episodes", made)
