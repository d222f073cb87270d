"""preprocessor_config.json, the reference library's description of how pictures become pixels and sounds become frames,
as ours. Its processors of sound and text together write processor_config.json, in which that stands beside others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weft.data.signals import Patches, Reads, mel, read_processor, wave
from weft.data.signals.pictures import Fit, Resample
from weft.files import DamagedFile, read_json
from weft.hub.error import LoadError
from weft.hub.folder import read_blueprint, read_config
from weft.models.signals import Beside

FILE, WHOLE, HEARS = "preprocessor_config.json", "processor_config.json", "feature_extractor"
SOUNDS = {mel.TYPE: mel.log_mel_from, wave.TYPE: wave.waveform_from}
RESAMPLE: dict[int, Resample] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # pillow's numbers


def reads_of(folder: Path) -> Reads | None:
    """What a saved or published model's folder says of signals; None where it says nothing. See `read_signals`."""
    return read_signals(folder, read_blueprint(folder).config, read_config(folder))


def read_signals(folder: Path, config: Any, said: Mapping[str, Any]) -> Reads | None:
    """What a model's folder says of signals; None where it says nothing. config: the model's settings; said: its
    config.json, where that is in the reference's form. LoadError for what is damaged or not understood."""
    try:
        own = read_processor(folder)
        path = next((folder / name for name in (FILE, WHOLE) if (folder / name).is_file()), None)
        if own is not None or path is None:
            return own
        theirs = read_json(path)
        if not isinstance(theirs, dict):
            raise DamagedFile(f"{path} holds a {type(theirs).__name__}, not a processor's description")
        theirs = theirs.get(HEARS, theirs)
    except DamagedFile as error:
        raise LoadError(str(error)) from error
    try:
        kind = theirs.get("feature_extractor_type")
        if kind in SOUNDS:
            return Reads(SOUNDS[kind](theirs), ())
        config = config.image.config if isinstance(config, Beside) else config
        if not {"patch", "channels"} <= {field.name for field in dataclasses.fields(config)}:
            raise ValueError(f"feature_extractor_type is {kind!r}; understood is {' or '.join(SOUNDS)}")
        return Reads(patches(theirs, config.patch, config.channels), _classes(said))
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # the last two: a list where an object belongs
        raise LoadError(f"{path}: {error}") from error


def patches(theirs: Mapping[str, Any], patch: int, channels: int) -> Patches:
    """Their fields as ours, for a model of these patches. ValueError for a field whose value means other pixels."""
    for name in ("do_resize", "do_rescale", "do_normalize"):
        if not theirs.get(name, True):
            raise ValueError(f"{name} is false, and pictures are resized, scaled and normalised here")
    if abs(float(theirs.get("rescale_factor", 1 / 255)) * 255 - 1) > 1e-6:
        raise ValueError(f"rescale_factor is {theirs['rescale_factor']}; understood is 1/255")
    if theirs.get("do_pad"):
        raise ValueError("do_pad is true, and pictures are not padded here")
    size, crop = theirs.get("size", 224), theirs.get("crop_size")
    fit: Fit = "crop" if theirs.get("do_center_crop") else "squeeze"
    side = _side(size, ("shortest_edge",) if fit == "crop" else ("height", "width"))
    if fit == "crop" and _side(crop if crop is not None else side, ("height", "width")) != side:
        raise ValueError(f"size is {size} and crop_size {crop}: understood are equal ones")
    kind = theirs.get("resample", 2)
    if kind not in RESAMPLE:
        raise ValueError(f"resample is {kind}; understood are {', '.join(map(str, RESAMPLE))}")
    mean, std = (tuple(map(float, theirs.get(name, (0.5,) * channels))) for name in ("image_mean", "image_std"))
    return Patches(side, patch, channels, mean, std, RESAMPLE[kind], fit)


def _side(size: Any, names: tuple[str, ...]) -> int:
    """The one number of pixels that a size says. ValueError where it says several, or none."""
    if isinstance(size, int):
        return size
    found = {size[name] for name in names if name in size} if isinstance(size, dict) else set()
    if len(found) != 1:
        raise ValueError(f"size is {size}; understood is one number for {' and '.join(names)}")
    return int(found.pop())


def _classes(said: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the classes in their order, as config.json has them."""
    labels = said.get("id2label") or {}
    return tuple(str(labels[key]) for key in sorted(labels, key=int))
