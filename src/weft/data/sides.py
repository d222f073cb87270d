"""Which of some things that have names are held out: those of which files' names say so, else a share by their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from weft.data.names import Side
from weft.data.sources import Say, quiet

Thing = TypeVar("Thing")


def drawn(name: str, seed: int) -> float:
    """A number from 0 to below 1, a function of a name and a seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:7], "big") / 2**56


def by_name(names: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Which are held out, bool [N]: those that are `drawn` below the share, whatever lies beside them."""
    return np.array([drawn(name, seed) < share for name in names], bool)


def held_out(names: Sequence[str], sides: Sequence[Side | None], share: float, seed: int) -> np.ndarray:
    """The same, but where files' names hold some out (see `side_of`), these; what they leave out never is."""
    named = np.array([side == Side.HELD_OUT for side in sides], bool)
    return named if named.any() else by_name(names, share, seed) & in_use(sides)


def in_use(sides: Sequence[Side | None]) -> np.ndarray:
    """Which are not left out, bool [N]."""
    return np.array([side != Side.LEFT_OUT for side in sides], bool)


def without_tests(
    names: Sequence[str], sides: Sequence[Side | None], called: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """`in_use`, and a notice that names one that is left out. ValueError where all are."""
    used = in_use(sides)
    if used.all():
        return used, ()
    count, first = int((~used).sum()), names[int(used.argmin())]
    if not used.any():
        raise ValueError(
            f"{first} is of a test set by its name, and there is nothing else: there is nothing to train on"
        )
    return used, (f"{count:,} {called} are left out, {first} say: by its name that is of a test set",)


def way_out(sides: Sequence[Side | None] | None, share: float) -> str:
    """How others come to be held out: by files' names where these say it, else by the share. sides: None: it is not
    known which of the two it was."""
    if sides is None:
        return f"set data.held_out={share} so where files' names (train, dev) do not say which, or give more"
    if Side.HELD_OUT in sides:
        return "files' names say which (train, dev), and data.held_out is not used: give some of both, or name neither"
    return f"set data.held_out={share} so, or give more"


def check_both(held: np.ndarray, called: str, way: str) -> None:
    """ValueError where nothing, or everything, is held out. way: what is to be done about it, see `way_out`."""
    if held.all() or not held.any():
        raise ValueError(
            f"of {len(held):,} {called} {int(held.sum()):,} are held out: some are to be trained on, and some are not; "
            f"{way}"
        )


def digest(names: Sequence[str], held: np.ndarray) -> str:
    """Of what things are called and of which are held out, bool [N], in whatever order they come."""
    pairs = sorted((name, bool(out)) for name, out in zip(names, held, strict=True))
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()


def kept_back(held: np.ndarray, called: str, say: Say = quiet) -> tuple[np.ndarray, bool]:
    """The numbers of those that a run held out, of all where it held out none, and whether that leaves out what it was
    trained on; where others are left out, it is said."""
    if not held.any():
        return np.arange(len(held)), False
    if not held.all():
        say(f"asked are the {int(held.sum()):,} of {len(held):,} {called} that the run held out")
    return np.flatnonzero(held), True


def of_part(
    held: np.ndarray,
    sides: Sequence[Side | None],
    parts: Sequence[Sequence[Thing]],
    number: int,
    called: str,
    say: Say = quiet,
) -> tuple[list[Thing], bool]:
    """The same of one of the parts that all of them come from; of one that was left out, a test set, all. held: of all
    parts, none where it is not known which; sides: of the same."""
    start, part = sum(map(len, parts[:number])), parts[number]
    here = slice(start, start + len(part))
    if held.any() and not in_use(sides[here]).any():
        return list(part), True
    places, apart = kept_back(held[here], called, say)
    return [part[at] for at in places], apart
