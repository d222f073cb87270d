"""Pictures that a person names, to be asked about: a file, a folder of them, an idx file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from weft.data.names import Side, side_of
from weft.data.progress import counted
from weft.data.signals.classes import known_as
from weft.data.signals.idx import read_idx
from weft.data.signals.listing import files_below
from weft.data.signals.pictures import Patches, opened
from weft.data.signals.prepare import ENDINGS, numbered, side_of_picture
from weft.data.sources import Say, quiet

Choose = Callable[[Sequence[str], Sequence[Side | None]], Sequence[int] | np.ndarray]  # names, sides -> numbers


@dataclass(frozen=True)
class Given:
    """names: what each is called; signals: uint8 [N, image, image, channels]; classes: what each is said to be, where
    the place it lies in says it."""

    names: tuple[str, ...]
    signals: np.ndarray
    classes: tuple[str | None, ...]


def all_files(folder: Path) -> list[Path]:
    """All pictures in a folder and those below it."""
    return files_below(folder, ENDINGS)


def given_pictures(
    path: Path,
    processor: Patches,
    classes: Sequence[str],
    say: Say = quiet,
    *,
    choose: Choose | None = None,
    listed: Callable[[Path], list[Path]] = all_files,
) -> Given:
    """The pictures in a file, or in a folder and those below it, in the order of their names. A picture's class is that
    of its folder, where this is called as one of `classes`; of an idx file its labels' file beside it says it. choose:
    the numbers of those of a folder that are read, of all names and sides; listed: which files of it there are, as
    `class_files` says where a run reads them. ValueError where there is none, and naming a file that is damaged."""
    if path.is_file() and "-idx" in path.name:
        return _of_idx(path, processor, classes)
    if path.is_dir():
        idx = sorted(path.glob("*-images-idx3-ubyte*"))
        if idx:
            return _of_several(idx, processor, classes, choose)
        files = listed(path)
        if not files:
            raise ValueError(f"{path} holds no pictures ({', '.join(ENDINGS)}) and no idx files")
        if choose is not None:
            inside = [file.relative_to(path) for file in files]
            names, sides = [one.as_posix() for one in inside], list(map(side_of_picture, inside))
            files = [files[at] for at in choose(names, sides)]
    else:
        files = [path]
    advance, made = counted(say, "read", len(files)), list[np.ndarray]()
    for file in files:
        made.append(processor.fitted(opened(file, processor.channels)))
        advance(1)
    said = (file.parent.name for file in files)
    names = tuple(file.relative_to(path).as_posix() if path.is_dir() else str(file) for file in files)
    return Given(names, np.stack(made), tuple(name if name in classes else None for name in said))


def untrained(sides: Sequence[Side | None], say: Say) -> list[int]:
    """The numbers of those of another side than train; of all where there is none."""
    others = [number for number, side in enumerate(sides) if side != Side.TRAIN]
    if others and len(others) < len(sides):
        say("what is called train is left out: it is no test of what was trained on it")
    return others or list(range(len(sides)))


def _of_several(files: Sequence[Path], processor: Patches, classes: Sequence[str], choose: Choose | None) -> Given:
    sizes = [len(read_idx(file)) for file in files]
    names = [name for file, size in zip(files, sizes, strict=True) for name in numbered(file, size)]
    sides = [side_of(file.name) for file, size in zip(files, sizes, strict=True) for _ in range(size)]
    chosen = np.arange(len(names)) if choose is None else np.asarray(choose(names, sides))
    ends = np.cumsum([0, *sizes])
    within = [chosen[(start <= chosen) & (chosen < end)] - start for start, end in pairwise(ends)]
    parts = [_of_idx(file, processor, classes, at) for file, at in zip(files, within, strict=True) if len(at)]
    return Given(
        tuple(name for part in parts for name in part.names),
        np.concatenate([part.signals for part in parts]),
        tuple(said for part in parts for said in part.classes),
    )


def _of_idx(path: Path, processor: Patches, classes: Sequence[str], chosen: np.ndarray | None = None) -> Given:
    if processor.channels != 1:
        raise ValueError(f"{path} holds grey pictures, and the model reads {processor.channels} channels")
    images, beside = read_idx(path), path.with_name(path.name.replace("-images-idx3", "-labels-idx1"))
    if images.ndim != 3:
        raise ValueError(f"{path} has the sizes {list(images.shape)}, and pictures have a number, a height and a width")
    said: tuple[str | None, ...] = (None,) * len(images)
    if beside != path and beside.is_file():
        labels = read_idx(beside)
        if labels.shape != images.shape[:1]:
            raise ValueError(f"{path} has {len(images):,} pictures and {beside.name} {list(labels.shape)} labels")
        numbers = tuple(map(str, labels))
        own = known_as(sorted(set(numbers)), classes)
        if own is None:
            raise ValueError(f"{beside} has the label {labels.max()}, and the model tells {len(classes)} classes apart")
        number = dict(zip(sorted(set(numbers)), own, strict=True))
        said = tuple(str(classes[number[label]]) for label in numbers)
    names, kept = numbered(path, len(images)), range(len(images)) if chosen is None else chosen.tolist()
    pictures = np.stack([processor.fitted(images[at][..., None]) for at in kept])
    return Given(tuple(names[at] for at in kept), pictures, tuple(said[at] for at in kept))
