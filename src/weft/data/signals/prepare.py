"""From words on a command line to rows of signals: read, split, fit a processor."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from weft.data.labelled import choose_some
from weft.data.names import Side, side_above, side_of
from weft.data.sides import by_name, check_both, way_out, without_tests
from weft.data.sides import digest as named_split
from weft.data.signals.classes import known_as
from weft.data.signals.idx import read_idx
from weft.data.signals.labelled import Labelled
from weft.data.signals.listing import files_below
from weft.data.signals.made import SHAPES, made_pictures
from weft.data.signals.pictures import Patches, opened
from weft.data.signals.processors import Processor
from weft.data.signals.settings import SignalSettings
from weft.data.sources import Say, quiet
from weft.registry import Registry

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
PICTURES = (*ENDINGS, "-ubyte", "-ubyte.gz")  # what may be read of a folder: pictures, or idx files


@dataclass(frozen=True)
class Signals:
    """Rows to train on and rows held out, what made them, and the names of their classes. digest: of all of them and of
    the settings: equal digests mean equal rows. split: of what they are called, see `sides.digest`."""

    train: Labelled
    held_out: Labelled
    processor: Processor
    classes: tuple[str, ...]
    digest: str
    split: str
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What a source gives: signals with their classes, and which of them are held out, bool [N]; None: nobody said.
    names: what each is called, by which it is held out where nobody said; none: by its number."""

    signals: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    held_out: np.ndarray | None
    notices: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def held(self, share: float, seed: int) -> np.ndarray:
        """Which are held out, bool [N]: as somebody said, else by their names."""
        return by_name(self.each(), share, seed) if self.held_out is None else self.held_out

    def each(self) -> tuple[str, ...]:
        """What each is called: by its number, where it has no name."""
        return self.names or tuple(map(str, range(len(self.labels))))

    def called(self, names: Sequence[str]) -> Found:
        """With the numbers that a model has for its classes, which are called so (see `known_as`); as they are where
        one of the data's classes is none of them: ten that files number are not the first ten of a thousand."""
        own, counted = known_as(self.classes, names), not set(self.classes) <= set(names)
        if counted and len(self.classes) != len(names):
            return self
        return self if own is None else replace(self, labels=np.array(own)[self.labels], classes=tuple(names))


SIGNAL_SOURCES: Registry[Callable[[SignalSettings, Any, Say], Found]] = Registry(
    "source of signals", "weft.signal_sources", ()
)


def prepare_signals(
    settings: SignalSettings,
    config: Any,
    processor: Processor | None,
    say: Say = quiet,
    fit: Callable[[Any, np.ndarray], Processor] = Patches.of,
    names: Sequence[str] = (),
) -> Signals:
    """Rows for a model of these settings. processor: the one there is; None: one is fitted (`fit`, of the model's
    settings and of the pixels that are trained on). names: of the classes that the model tells apart, see
    `Found.called`; none: it knows no names.
    ValueError for settings and files that give none, and for more classes than the model tells apart."""
    settings.check()
    found = SIGNAL_SOURCES.get(settings.source)(settings, config, say).called(names)
    held = found.held(settings.held_out, settings.seed)
    check_both(held, "samples", way_out([] if found.held_out is None else [Side.HELD_OUT], settings.held_out))
    if strange := sorted(set(found.labels[held].tolist()) - set(found.labels[~held].tolist())):
        raise ValueError(
            f"all samples of the class {found.classes[strange[0]]!r} are held out, so that nothing tells what it looks "
            "like: give it some to train on, hold out others (data.seed), or leave it out"
        )
    if len(found.classes) > config.classes:
        raise ValueError(
            f"the data have {len(found.classes)} classes ({', '.join(found.classes[:5])} …), and the model tells "
            f"{config.classes} apart: set model.classes={len(found.classes)}"
        )
    learned = np.flatnonzero(~held)
    if settings.examples:
        learned = learned[choose_some(found.labels[learned].tolist(), settings.examples, settings.seed)]
    signals, labels = found.signals[learned], found.labels[learned]
    processor = processor or fit(config, signals)
    train = Labelled(signals, labels, processor, augment=settings.augment, seed=settings.seed)
    held_out = Labelled(found.signals[held], found.labels[held], processor)
    say(f"{len(train):,} samples of {len(found.classes)} classes to train on, {len(held_out):,} held out")
    digest = hashlib.sha256(repr((settings.augment, settings.examples, settings.seed, processor)).encode())
    for part in (found.signals, found.labels, held):
        digest.update(np.ascontiguousarray(part).data)
    split = named_split(found.each(), held)
    return Signals(train, held_out, processor, found.classes, digest.hexdigest(), split, found.notices)


def pictures(settings: SignalSettings, config: Any, say: Say) -> Found:
    """Pictures with classes: a folder of idx files (train-images-idx3-ubyte[.gz] and -labels-, dev- or t10k- beside
    them), or of a folder of pictures for each class, also below train/ and val/."""
    if len(settings.paths) != 1 or not Path(settings.paths[0]).is_dir():
        given = ", ".join(settings.paths) or "nothing"
        raise ValueError(
            f"pictures come from one folder (--data FOLDER), of idx files or a folder a class, not {given}"
        )
    folder = Path(settings.paths[0])
    idx = sorted(folder.glob("*-images-idx3-ubyte*"))
    return _of_idx(idx, config) if idx else _of_folders(folder, config, say)


def _of_idx(files: list[Path], config: Any) -> Found:
    parts, names = list[tuple[np.ndarray, np.ndarray, bool]](), list[str]()
    sides = [side_of(path.name) for path in files]
    used, notices = without_tests([path.name for path in files], sides, "files")
    for path, side in ((files[at], sides[at]) for at in np.flatnonzero(used)):
        other = path.with_name(path.name.replace("-images-idx3", "-labels-idx1"))
        if not other.is_file():
            raise ValueError(f"{path} has no {other.name} beside it, which would say the classes")
        images, labels = read_idx(path), read_idx(other).astype(np.int64)
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise ValueError(f"{path} has {list(images.shape)} and {other.name} {list(labels.shape)}: one label each")
        if config.channels != 1:
            raise ValueError(f"{path} holds grey pictures, and the model reads {config.channels}: set model.channels=1")
        parts.append((_sized(images[..., None], config), labels, side == Side.HELD_OUT))
        names += numbered(path, len(labels))
    signals, labels = (np.concatenate([part[at] for part in parts]) for at in (0, 1))
    held = np.concatenate([np.full(len(labels), dev) for _, labels, dev in parts])
    classes = tuple(str(number) for number in range(int(labels.max()) + 1))
    return Found(signals, labels, classes, held if held.any() else None, notices, tuple(names))


def numbered(path: Path, count: int) -> list[str]:
    """What the pictures of one file are called."""
    return [f"{path.name}#{number}" for number in range(count)]


def _sized(pixels: np.ndarray, config: Any) -> np.ndarray:
    """All of them as large as the model reads them."""
    if pixels.shape[1:3] == (config.image, config.image):
        return pixels
    fit = Patches(config.image, config.patch, config.channels)
    return np.stack([fit.fitted(one) for one in pixels])


def class_files(folder: Path) -> list[Path]:
    """The pictures of a folder that are read with their classes, those to train on first: one folder a class, also
    below train/, val/ and test/, and then what lies beside these is none of it."""
    there = files_below(folder, ENDINGS, depths=(1, 2))
    sides = {path: side_of_picture(path.relative_to(folder)) for path in there}
    if Side.TRAIN in sides.values() or Side.HELD_OUT in sides.values():  # then what lies beside them is none of it
        sides = {path: side for path, side in sides.items() if side is not None}
    else:
        sides = {path: side for path, side in sides.items() if side is not None or path.parent.parent == folder}
    return sorted(sides, key=lambda path: (sides[path] or Side.TRAIN, path))


def _of_folders(folder: Path, config: Any, say: Say) -> Found:
    files = class_files(folder)
    if not files:
        raise ValueError(
            f"{folder} holds no idx files, and no folder of pictures ({', '.join(ENDINGS)}) for each class"
        )
    inside = [path.relative_to(folder) for path in files]
    names, sides = [one.as_posix() for one in inside], list(map(side_of_picture, inside))
    used, notices = without_tests(names, sides, "pictures")
    files = [files[at] for at in np.flatnonzero(used)]
    say(f"reading {len(files):,} pictures …")
    fit = Patches(config.image, config.patch, config.channels)
    classes = tuple(sorted({path.parent.name for path in files}))
    signals = np.stack([fit.fitted(opened(path, config.channels)) for path in files])
    labels = np.array([classes.index(path.parent.name) for path in files], np.int64)
    held = np.array([side == Side.HELD_OUT for side in sides])[used]
    called = tuple(names[at] for at in np.flatnonzero(used))
    return Found(signals, labels, classes, held if held.any() else None, notices, called)


def side_of_picture(path: Path) -> Side | None:
    """By the folders above that of its class, from the folder of all pictures on; a class is never called test."""
    above = side_above(path.parent.as_posix())
    return Side.LEFT_OUT if above is None and side_above(path.as_posix()) == Side.LEFT_OUT else above


def made(settings: SignalSettings, config: Any, say: Say) -> Found:
    """Pictures made on the spot, of five shapes."""
    signals, labels = made_pictures(240, config.image, config.channels, settings.seed)
    return Found(signals, labels, SHAPES, None)


SIGNAL_SOURCES.register("pictures", pictures)
SIGNAL_SOURCES.register("made_pictures", made)
