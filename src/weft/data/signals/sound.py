"""Sounds from files: any format that libsndfile reads, at any rate, of any number of channels, as one channel at the
rate that is asked for. soundfile and soxr are extras, imported where they are needed."""

from __future__ import annotations

import io
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

_RATES = (100, 1_000_000)  # samples a second that a file may say
_BLOCK = 2**16  # samples of each channel that are held at once, before they are mixed
# What libsndfile tells of a file's samples in passing: how many bytes the file says they are, and how many there are.
# Larger numbers than any that is cut short are of streams, which did not know.
_SIZES, _UNSAID = re.compile(r"(?:data|SSND|Data Size|riff|Riff size)\s*:\s*(\d+) \(should be (\d+)\)"), 2**31 - 2**16


def read_sound(source: Path | str | bytes, *, rate: int = 16000, seconds: float = 3600.0, name: str = "") -> np.ndarray:
    """The sound in a file, or in its bytes: fp32 [samples], about -1 to 1, the mean of its channels, at `rate` samples
    a second.

    seconds: the longest sound that is read; of a longer one no more is decoded than tells that it is. name: what errors
    call it, where its file does not. ValueError, naming the file, for what is no sound, is cut short, holds nothing or
    is too long, and where soundfile or soxr is not installed.
    """
    if rate < 1 or not seconds > 0:
        raise ValueError(f"rate = {rate}, seconds = {seconds}: both must be above 0")
    name = name or ("these bytes" if isinstance(source, bytes) else str(source))
    if not isinstance(source, bytes) and not Path(source).is_file():
        raise ValueError(f"{name} is no file: name a sound")
    library = _library("soundfile")
    try:
        with library.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as file:
            own, wave = int(file.samplerate), _mixed(file, name, seconds)
    except library.LibsndfileError as error:
        raise ValueError(f"{name} is no sound that can be read, or is damaged: {error.error_string}") from error
    if own == rate:
        return wave
    return np.asarray(_library("soxr").resample(wave, own, rate), np.float32)


def _mixed(file: Any, name: str, seconds: float) -> np.ndarray:
    """The mean of an open file's channels, fp32 [samples], at its own rate. ValueError where it cannot be had whole."""
    own, said = int(file.samplerate), int(file.frames)
    if not _RATES[0] <= own <= _RATES[1]:
        raise ValueError(f"{name} says {own} samples a second; between {_RATES[0]} and {_RATES[1]} are read")
    most = int(seconds * own)
    unknown = said >= 2**62  # a stream that does not say how long it is
    if said > most and not unknown:
        raise ValueError(f"{name} lasts {said / own:.6g} seconds, and at most {seconds:g} are read: cut it")
    blocks, count = list[np.ndarray](), 0
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):  # [samples, channels]
        count += len(block)
        if count > most:
            raise ValueError(f"{name} lasts longer than the {seconds:g} seconds that are read: cut it")
        blocks.append(block.mean(axis=1, dtype=np.float32))  # [samples]
    if (count < said and not unknown) or _lacking(file.extra_info):
        raise ValueError(f"{name} is cut short: it holds {count / own:.6g} seconds, and says it has more")
    if not count:
        raise ValueError(f"{name} holds no sound: it lasts 0 seconds")
    wave = np.concatenate(blocks)
    if not np.isfinite(wave).all():
        raise ValueError(f"{name} has samples that are no finite numbers")
    return wave


def _lacking(told: str) -> bool:
    """Whether libsndfile found less in a file than the file says it holds."""
    return any(int(there) < int(said) < _UNSAID for said, there in _SIZES.findall(told))


def _library(name: str) -> Any:
    """A module that is an extra. ValueError where it is not installed."""
    try:
        return import_module(name)
    except (ImportError, OSError) as error:  # OSError: it lacks libsndfile
        raise ValueError(f"reading sounds needs {name}, which is not installed: pip install 'weft[sound]'") from error
