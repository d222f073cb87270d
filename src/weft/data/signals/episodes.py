"""Episodes: what was seen, done and earned, step by step; in files of our own, .npz or .jsonl."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from weft.data.reading import open_text
from weft.data.signals.series import LARGEST
from weft.files import DamagedFile

MOST_NUMBERS = 50_000_000  # of a file: 400 MB
ENDINGS = (".npz", ".jsonl", ".jsonl.gz")
ARRAYS = ("states", "actions", "rewards", "lengths")
FIELDS = ("states", "actions", "rewards", "asked")
MOST_ACTIONS = 4096  # that one of is chosen: a row has a number for each
Array = np.ndarray


class Episode(NamedTuple):
    """states: fp32 [T, S]; actions: fp32 [T, A], or int64 [T] where each is one of several; rewards: fp64 [T]. One that
    is not over yet has an action and a reward less than states. asked: the return it is to come to, where that is said.
    """

    states: Array
    actions: Array
    rewards: Array
    asked: float | None = None


@dataclass(frozen=True, eq=False)
class Episodes:
    """E episodes, one after the other, N steps in all.

    states: fp32 [N, S]; actions: fp32 [N, A], their numbers, or 1 at the number of the one that was taken and 0
    elsewhere; rewards: fp64 [N]; lengths: int64 [E], each at least 1. discrete: actions are one of several.
    """

    states: Array
    actions: Array
    rewards: Array
    lengths: Array
    discrete: bool

    @property
    def starts(self) -> Array:
        """int64 [E]: the first step of each."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def returns(self) -> Array:
        """fp64 [E]: the sum of each one's rewards."""
        return np.add.reduceat(self.rewards, self.starts)

    @property
    def to_go(self) -> Array:
        """fp64 [N]: the rewards of this step and of those that come after it in its episode (Chen et al. 2021, §3)."""
        parts = np.split(self.rewards, self.starts[1:])
        return np.concatenate([part[::-1].cumsum()[::-1] for part in parts])

    def some(self, chosen: Array) -> Episodes:
        """Those of bool [E]."""
        steps = np.repeat(chosen, self.lengths)
        return Episodes(
            self.states[steps], self.actions[steps], self.rewards[steps], self.lengths[chosen], self.discrete
        )


def joined(episodes: Sequence[Episode], where: str, count: int | None = None) -> Episodes:
    """Episodes side by side. where: where they stand, for errors; count: of actions that there are, where each is one
    of several; None: as many as were taken. ValueError for none, and for one unlike the first."""
    if not episodes:
        raise ValueError(f"{where} holds no episode")
    first = episodes[0]
    for number, one in enumerate(episodes):
        if len(one.actions) != len(one.states):
            raise ValueError(
                f"{where}, episode {number}: {len(one.states)} states and {len(one.actions)} actions: as many"
            )
        same(one, first, f"{where}, episode {number}", "the first one's")
    actions = np.concatenate([one.actions for one in episodes])
    discrete = actions.ndim == 1
    if discrete:
        actions = one_of(actions, int(actions.max()) + 1 if count is None else count, where)
    states, rewards = (
        np.concatenate(parts) for parts in zip(*((one.states, one.rewards) for one in episodes), strict=True)
    )
    return Episodes(states, actions, rewards, np.array([len(one.states) for one in episodes], np.int64), discrete)


def same(one: Episode, other: Episode, where: str, whose: str) -> None:
    """ValueError where states or actions of two episodes are of other sizes."""
    if one.states.shape[1:] != other.states.shape[1:]:
        raise ValueError(
            f"{where}: states of {one.states.shape[1]} numbers, and {whose} have {other.states.shape[1]}: as many"
        )
    if one.actions.shape[1:] != other.actions.shape[1:]:
        said = [
            f"{shape[1]} numbers" if len(shape) == 2 else "one of several"
            for shape in (one.actions.shape, other.actions.shape)
        ]
        raise ValueError(f"{where}: an action is {said[0]}, and {whose} {said[1]}: of one kind")


def one_of(numbers: Array, count: int, where: str) -> Array:
    """int64 [T] -> fp32 [T, count], 1 at each one's number. ValueError for a number that is none of them."""
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < count:
        raise ValueError(f"{where}: actions {numbers.min()} to {numbers.max()}, and there are 0 to {count - 1}")
    return np.eye(count, dtype=np.float32)[numbers]


def read_episodes(path: Path) -> list[Episode]:
    """The episodes in a file. ValueError for what is no such file, or is too large; DamagedFile, naming episode or
    line, for what cannot be one."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}: name one of episodes ({', '.join(ENDINGS)})")
    if not path.name.endswith(ENDINGS):
        raise ValueError(f"{path} holds no episodes by its name: they are read from {', '.join(ENDINGS)}")
    found = list(_of_npz(path) if path.suffix == ".npz" else _of_lines(path))
    if not found:
        raise ValueError(f"{path} holds no episode")
    return found


def write_episodes(path: Path, episodes: Iterable[Episode]) -> None:
    """Write a .npz that `read_episodes` reads."""
    parts = list(episodes)
    states, actions, rewards = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("states", "actions", "rewards")
    )
    lengths = np.array([len(part.states) for part in parts], np.int64)
    np.savez_compressed(path, states=states, actions=actions, rewards=rewards, lengths=lengths)


def _of_lines(path: Path) -> Iterator[Episode]:
    """One JSON object a line: states, actions, rewards, and, where it is said, asked."""
    numbers = 0
    with open_text(path, newline="\n") as lines:
        for line, text in enumerate(lines, start=1):
            if not text.strip():
                continue
            where = f"{path}, line {line}"
            episode = _of_object(text, where)
            numbers += episode.states.size + episode.actions.size + episode.rewards.size
            if numbers > MOST_NUMBERS:
                raise ValueError(f"{path} has more than the {MOST_NUMBERS:,} numbers that are read: part it")
            yield episode


def _of_object(text: str, where: str) -> Episode:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{where} is not JSON: {error}") from error
    if not isinstance(data, dict) or not data.keys() >= set(FIELDS[:3]) or data.keys() - set(FIELDS):
        raise DamagedFile(
            f"{where}: an episode is an object with {', '.join(FIELDS[:3])} and at most asked beside them"
        )
    asked = data.get("asked")
    if asked is not None and (type(asked) not in (int, float) or not abs(asked) <= LARGEST):
        raise DamagedFile(f"{where}: asked is {str(asked)[:40]!r}, and a return is a number of at most {LARGEST:.2g}")
    arrays = {name: _numbers(data[name], f"{where}: {name}") for name in FIELDS[:3]}
    return checked(arrays, where, None if asked is None else float(asked))


def _numbers(values: Any, what: str) -> Array:
    """A list of numbers, or of lists of as many."""
    try:
        found = np.array(values)
    except (ValueError, OverflowError) as error:
        raise DamagedFile(f"{what} are lists of unlike lengths: one number, or one list of as many, a step") from error
    return found


def checked(arrays: Mapping[str, Array], where: str, asked: float | None = None) -> Episode:
    """An episode of arrays as a file holds them. DamagedFile for what can be none."""
    states, actions, rewards = (arrays[name] for name in ARRAYS[:3])
    steps = len(states) if states.ndim else 0
    if not steps:
        raise DamagedFile(f"{where} has 0 steps: an episode has at least 1, so leave it out")
    if states.ndim != 2 or not states.shape[1] or actions.ndim > 2 or rewards.ndim != 1:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise DamagedFile(f"{where}: {shapes}; they are states [T, S], actions [T] or [T, A] and rewards [T]")
    if len(actions) != len(rewards) or len(actions) not in (steps, steps - 1):
        raise DamagedFile(
            f"{where}: {steps} states, {len(actions)} actions and {len(rewards)} rewards: as many of each, or of the "
            "last two one less, where the next action is not known yet"
        )
    for name, array in (("states", states), ("actions", actions), ("rewards", rewards)):
        if array.size and (array.dtype.kind not in "biuf" or not np.isfinite(array).all()):
            raise DamagedFile(f"{where}: {name} hold what is no finite number: mend the file")
        _check_sizes(name, array, where)
    if actions.ndim == 1 and actions.size and actions.dtype.kind == "f":
        raise DamagedFile(
            f"{where}: actions [T] are whole numbers, which one of several each is; write others as [T, A]"
        )
    if actions.ndim == 1:
        for step in np.flatnonzero((actions < 0) | (actions >= MOST_ACTIONS))[:1].tolist():
            raise DamagedFile(
                f"{where}, step {step} has the action {actions[step]}: they are numbered from 0, to at most "
                f"{MOST_ACTIONS - 1:,}"
            )
    actions = actions.astype(np.int64 if actions.ndim == 1 else np.float32)
    return Episode(states.astype(np.float32), actions, rewards.astype(np.float64), asked)


def _check_sizes(name: str, array: Array, where: str) -> None:
    """DamagedFile for a number beyond what fp32, in which a model reads them, can say."""
    large = np.argwhere(np.abs(array.astype(np.float64)) > LARGEST)
    for at in large[:1].tolist():
        place = f", number {at[1]}" if len(at) > 1 else ""
        raise DamagedFile(
            f"{where}, step {at[0]}{place} of {name} is {array[tuple(at)]:g}, and numbers are read up to "
            f"{LARGEST:.2g} either way: mend the file"
        )


def _of_npz(path: Path) -> Iterator[Episode]:
    """states [N, S], actions [N] or [N, A], rewards [N], and the lengths [E] of the episodes in them."""
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {name: _member(archive, name, path) for name in ARRAYS}
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise DamagedFile(f"{path} is no whole .npz file: {error}") from error
    lengths, steps = arrays.pop("lengths"), {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (len(lengths) and lengths.min() < 0):
        raise DamagedFile(f"{path}: lengths are whole numbers [E], and these are {lengths.dtype} {list(lengths.shape)}")
    if any(count != int(lengths.sum()) for count in steps.values()):
        said = ", ".join(f"{count:,} {name}" for name, count in steps.items())
        raise DamagedFile(f"{path}: {said}, and lengths that sum to {int(lengths.sum()):,}: a row of each a step")
    ends = np.cumsum(lengths.astype(np.int64))
    for number, (stop, length) in enumerate(zip(ends.tolist(), lengths.tolist(), strict=True)):
        part = {name: array[stop - length : stop] for name, array in arrays.items()}
        yield checked(part, f"{path}, episode {number}")


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> Array:
    """An array of an archive, of a size that is known before it is read."""
    if f"{name}.npy" not in archive.namelist():
        raise DamagedFile(f"{path} has no array {name!r}: it holds {', '.join(ARRAYS)}")
    info = archive.getinfo(f"{name}.npy")
    if info.file_size > 8 * MOST_NUMBERS:
        raise ValueError(
            f"{path}: {name} are {info.file_size:,} bytes, more than the {8 * MOST_NUMBERS:,} that are read"
        )
    try:
        with archive.open(info) as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except ValueError as error:
        raise DamagedFile(f"{path}: {name} cannot be read: {error}") from error
