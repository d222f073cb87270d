"""From words on a command line to rows of signals: read, split, fit a processor."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weft.data.labelled import choose_some
from weft.data.order import mix
from weft.data.signals.idx import read_idx
from weft.data.signals.labelled import Labelled
from weft.data.signals.made import SHAPES, made_pictures
from weft.data.signals.pictures import Patches, opened
from weft.data.signals.processors import Processor
from weft.data.signals.settings import SignalSettings
from weft.data.sources import Say, quiet
from weft.registry import Registry

TRAIN, DEV, TEST = ("train",), ("dev", "val", "valid", "validation", "t10k"), ("test",)
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Signals:
    """Rows to train on and rows held out, what made them, and the names of their classes. digest: of all of them and of
    the settings: equal digests mean equal rows."""

    train: Labelled
    held_out: Labelled
    processor: Processor
    classes: tuple[str, ...]
    digest: str
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What a source gives: signals with their classes, and which of them are held out, bool [N]; None: nobody said."""

    signals: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    held_out: np.ndarray | None
    notices: tuple[str, ...] = ()


SIGNAL_SOURCES: Registry[Callable[[SignalSettings, Any, Say], Found]] = Registry(
    "source of signals", "weft.signal_sources", ()
)


def prepare_signals(
    settings: SignalSettings,
    config: Any,
    processor: Processor | None,
    say: Say = quiet,
    fit: Callable[[Any, np.ndarray], Processor] = Patches.of,
) -> Signals:
    """Rows for a model of these settings. processor: the one there is; None: one is fitted (`fit`, of the model's
    settings and of the pixels that are trained on).
    ValueError for settings and files that give none, and for more classes than the model tells apart."""
    settings.check()
    found = SIGNAL_SOURCES.get(settings.source)(settings, config, say)
    held = found.held_out if found.held_out is not None else _drawn(len(found.labels), settings)
    if held.all() or not held.any():
        raise ValueError(
            f"of {len(held):,} samples {int(held.sum()):,} are held out: some are to be trained on, and some are not; "
            f"set data.held_out={settings.held_out} so"
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
    return Signals(train, held_out, processor, found.classes, digest.hexdigest(), found.notices)


def _drawn(count: int, settings: SignalSettings) -> np.ndarray:
    """Which samples are held out, as a function of the seed and of each one's number."""
    bits = np.array([mix(settings.seed, number) >> 11 for number in range(count)]) / 2**53
    return bits < settings.held_out


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
    parts, notices = list[tuple[np.ndarray, np.ndarray, bool]](), list[str]()
    for path in files:
        side = path.name.partition("-")[0]
        if side in TEST:
            notices.append(f"{path.name} is left out: by its name it is of a test set")
            continue
        other = path.with_name(path.name.replace("-images-idx3", "-labels-idx1"))
        if not other.is_file():
            raise ValueError(f"{path} has no {other.name} beside it, which would say the classes")
        images, labels = read_idx(path), read_idx(other).astype(np.int64)
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise ValueError(f"{path} has {list(images.shape)} and {other.name} {list(labels.shape)}: one label each")
        if config.channels != 1:
            raise ValueError(f"{path} holds grey pictures, and the model reads {config.channels}: set model.channels=1")
        parts.append((_sized(images[..., None], config), labels, side in DEV))
    if not parts:
        raise ValueError(f"{files[0].parent} holds a test set alone: there is nothing to train on")
    signals, labels = (np.concatenate([part[at] for part in parts]) for at in (0, 1))
    held = np.concatenate([np.full(len(labels), dev) for _, labels, dev in parts])
    classes = tuple(str(number) for number in range(int(labels.max()) + 1))
    return Found(signals, labels, classes, held if held.any() else None, tuple(notices))


def _sized(pixels: np.ndarray, config: Any) -> np.ndarray:
    """All of them as large as the model reads them."""
    if pixels.shape[1:3] == (config.image, config.image):
        return pixels
    fit = Patches(config.image, config.patch, config.channels)
    return np.stack([fit.fitted(one) for one in pixels])


def _of_folders(folder: Path, config: Any, say: Say) -> Found:
    sides = {side: folder / side for side in (*TRAIN, *DEV) if (folder / side).is_dir()}
    roots = {root: side in DEV for side, root in sides.items()} or {folder: False}
    files = [
        (path, path.parent.name, dev)
        for root, dev in roots.items()
        for path in sorted(root.glob("*/*"))
        if path.suffix.lower() in ENDINGS
    ]
    if not files:
        raise ValueError(
            f"{folder} holds no idx files, and no folder of pictures ({', '.join(ENDINGS)}) for each class"
        )
    say(f"reading {len(files):,} pictures …")
    fit = Patches(config.image, config.patch, config.channels)
    classes = tuple(sorted({name for _, name, _ in files}))
    signals = np.stack([fit.fitted(opened(path, config.channels)) for path, _, _ in files])
    labels = np.array([classes.index(name) for _, name, _ in files], np.int64)
    held = np.array([dev for *_, dev in files])
    return Found(signals, labels, classes, held if held.any() else None)


def made(settings: SignalSettings, config: Any, say: Say) -> Found:
    """Pictures made on the spot, of five shapes."""
    signals, labels = made_pictures(240, config.image, config.channels, settings.seed)
    return Found(signals, labels, SHAPES, None)


SIGNAL_SOURCES.register("pictures", pictures)
SIGNAL_SOURCES.register("made_pictures", made)
