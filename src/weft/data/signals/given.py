"""Pictures that a person names, to be asked about: a file, a folder of them, an idx file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weft.data.progress import counted
from weft.data.signals.idx import read_idx
from weft.data.signals.pictures import Patches, opened
from weft.data.signals.prepare import ENDINGS, TRAIN
from weft.data.sources import Say, quiet


@dataclass(frozen=True)
class Given:
    """names: what each is called; signals: uint8 [N, image, image, channels]; classes: what each is said to be, where
    the place it lies in says it."""

    names: tuple[str, ...]
    signals: np.ndarray
    classes: tuple[str | None, ...]


def given_pictures(
    path: Path, processor: Patches, classes: Sequence[str], say: Say = quiet, *, scored: bool = False
) -> Given:
    """The pictures in a file, or in a folder and those below it, in the order of their names. A picture's class is that
    of its folder, where this is called as one of `classes`; of an idx file its labels' file beside it says it. scored:
    what is called train, as a file or folder, is left out where there is anything else. ValueError where there is none,
    and naming a file that is damaged."""
    if path.is_file() and "-idx" in path.name:
        return _of_idx(path, processor, classes)
    if path.is_dir():
        idx = sorted(path.glob("*-images-idx3-ubyte*"))
        if idx:
            idx = untrained(idx, [one.name.partition("-")[0] for one in idx], say) if scored else idx
            return _joined([_of_idx(one, processor, classes) for one in idx])
        files = sorted(found for found in path.rglob("*") if found.suffix.lower() in ENDINGS)
        if not files:
            raise ValueError(f"{path} holds no pictures ({', '.join(ENDINGS)}) and no idx files")
        files = untrained(files, [file.relative_to(path).parts[0] for file in files], say) if scored else files
    else:
        files = [path]
    advance, made = counted(say, "read", len(files)), list[np.ndarray]()
    for file in files:
        made.append(processor.fitted(opened(file, processor.channels)))
        advance(1)
    said = (file.parent.name for file in files)
    names = tuple(str(file.relative_to(path)) if path.is_dir() else str(file) for file in files)
    return Given(names, np.stack(made), tuple(name if name in classes else None for name in said))


def untrained(files: list[Path], sides: list[str], say: Say) -> list[Path]:
    """Those of another side than train; all where there is none."""
    others = [file for file, side in zip(files, sides, strict=True) if side not in TRAIN]
    if others and len(others) < len(files):
        say("what is called train is left out: it is no test of what was trained on it")
    return others or files


def _of_idx(path: Path, processor: Patches, classes: Sequence[str]) -> Given:
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
        if len(labels) and labels.max() >= len(classes):
            raise ValueError(f"{beside} has the label {labels.max()}, and the model tells {len(classes)} classes apart")
        said = tuple(str(classes[int(label)]) for label in labels)
    names = tuple(f"{path.name}#{number}" for number in range(len(images)))
    return Given(names, np.stack([processor.fitted(one[..., None]) for one in images]), said)


def _joined(parts: Sequence[Given]) -> Given:
    names = tuple(name for part in parts for name in part.names)
    classes = tuple(one for part in parts for one in part.classes)
    return Given(names, np.concatenate([part.signals for part in parts]), classes)
