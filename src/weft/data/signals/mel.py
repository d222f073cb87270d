"""A sound as rows of numbers: how loud it is in each band of hearing, a hundred times a second."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weft.data.signals.sound import read_sound
from weft.data.signals.wave import Samples, one_channel

_LEAST = 1e-5  # of a variance
_FLOOR, _RANGE = 1e-10, 8.0  # the least power that is told apart from none; how many tenfolds below the loudest count


@dataclass(frozen=True)
class LogMel:
    """Log-mel frames of a sound, as Whisper hears it (Radford et al. 2023, §2.2, and its authors' code): the power
    spectrum of Hann windows, summed in bands of Slaney's mel scale, each of the same area, from 0 to `highest` Hz;
    log10 of it, cut off 8 below the sound's loudest, then (x + 4) / 4. normalise: then each band of a sound has mean 0,
    and all of them together variance 1, which is not Whisper's. even: so much of the mean that is taken away is each
    band's own, the rest that of all bands: 1 takes away how a microphone sounds, and of a short word its vowel too.

    rate: samples a second that it is given; it resamples nothing (see `read_sound`). mels: bands. window, step: samples
    of a window, and from one to the next. seconds: what every sound is filled up to with silence; None: nothing is
    added. Sounds are not cut: see `pieces`. ValueError for numbers that cannot be.
    """

    rate: int = 16000
    mels: int = 80
    window: int = 400
    step: int = 160
    highest: int = 8000
    seconds: int | None = 30
    normalise: bool = False
    even: float = 1.0

    def __post_init__(self) -> None:
        sizes = {"rate": self.rate, "mels": self.mels, "step": self.step, "highest": self.highest}
        sizes |= {} if self.seconds is None else {"seconds": self.seconds}
        for name, value in sizes.items():
            if not 1 <= value <= 2**20:
                raise ValueError(f"{name} = {value}, but it must be between 1 and {2**20}")
        if not self.step <= self.window <= 2**20 or self.window % 2:
            raise ValueError(
                f"window = {self.window}, step = {self.step}: a window is an even number of samples, no fewer than the "
                f"step, and at most {2**20}"
            )
        if 2 * self.highest > self.rate:
            raise ValueError(
                f"highest = {self.highest} Hz cannot be heard at rate = {self.rate}: take at most its half"
            )
        if not 0 <= self.even <= 1:
            raise ValueError(f"even = {self.even}, but it is a share: from 0 to 1")
        if self.mels > self.window // 2:
            raise ValueError(f"mels = {self.mels} bands of {self.window // 2 + 1} frequencies: take a longer window")

    @property
    def channels_of_place(self) -> int:
        """Numbers of a frame."""
        return self.mels

    @property
    def places(self) -> int | None:
        """Frames of every sound; None: as many as it is long."""
        return None if self.seconds is None else self.seconds * self.rate // self.step

    def __call__(self, samples: Samples) -> Tensor:
        """A sound [samples] at `rate` -> fp32 [frames, mels], a frame for each whole step.

        ValueError for what is no sound of one channel, one that is longer than `seconds`, or too short to be a frame.
        """
        wave = self._wave(samples)
        if self.seconds is not None:
            wave = torch.nn.functional.pad(wave, (0, self.seconds * self.rate - len(wave)))
        hann = torch.hann_window(self.window)
        spectrum = torch.stft(wave, self.window, self.step, window=hann, return_complex=True)  # [bins, frames + 1]
        power = (spectrum[:, :-1].abs() ** 2).contiguous()  # [bins, frames]
        heard = (filters(self.mels, self.window, self.rate, self.highest) @ power).clamp(min=_FLOOR).log10()
        heard = torch.maximum(heard, heard.max() - _RANGE)
        frames = ((heard + 4.0) / 4.0).T.contiguous()  # [frames, mels]
        if self.normalise:
            frames = frames - frames.mean(dim=0).lerp(frames.mean(), 1 - self.even)
            frames = frames / (frames.square().mean() + _LEAST).sqrt()
        return frames

    def read(self, path: Path) -> np.ndarray:
        """The sound in a file: see `read_sound`."""
        return read_sound(path, rate=self.rate)

    def rows(self, signals: np.ndarray) -> np.ndarray:
        """Sounds of one length [N, samples], or of any where they are filled up, as fp32 [N, frames, mels]."""
        return np.stack([self(samples).numpy() for samples in signals])

    def pieces(self, samples: Samples) -> list[Samples]:
        """A sound of any length in pieces of `seconds`, the last one shorter; whole where there is no such limit."""
        if self.seconds is None or not len(samples):
            return [samples]
        longest = self.seconds * self.rate
        return [samples[start : start + longest] for start in range(0, len(samples), longest)]

    def _wave(self, samples: Samples) -> Tensor:
        """The samples, checked, as fp32 [samples]."""
        wave = one_channel(samples)
        least = 1 if self.seconds is not None else max(self.step, self.window // 2 + 1)  # which its ends mirror
        if len(wave) < least:
            raise ValueError(f"a sound of {len(wave)} samples is too short: at least {least} make a frame")
        if self.seconds is not None and len(wave) > self.seconds * self.rate:
            raise ValueError(
                f"a sound of {len(wave) / self.rate:g} seconds, at {self.rate} samples a second, is longer than "
                f"{self.seconds}: hear it in pieces (LogMel.pieces)"
            )
        return wave


@lru_cache(maxsize=8)
def filters(mels: int, window: int, rate: int, highest: int) -> Tensor:
    """What each band takes of each frequency, fp32 [mels, window / 2 + 1]: triangles over Slaney's mel scale, from 0 to
    `highest` Hz, of the area that makes the bands alike loud in white noise."""
    edges = _hertz(np.linspace(0.0, _mel(highest), mels + 2))  # [mels + 2]: a band's beginning, top and end
    bins = np.linspace(0.0, rate / 2, window // 2 + 1)  # [bins]
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]  # [mels, bins]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    bands = np.maximum(0.0, np.minimum(rise, fall)) * (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return torch.from_numpy(bands.astype(np.float32))


# Slaney's mel scale (Auditory Toolbox, 1998): linear up to 1000 Hz, logarithmic from there.
_BREAK, _LINEAR, _LOG = 1000.0, 3.0 / 200.0, 27.0 / math.log(6.4)


def _mel(hertz: float) -> float:
    """How high a frequency is heard."""
    if hertz < _BREAK:
        return hertz * _LINEAR
    return _BREAK * _LINEAR + math.log(hertz / _BREAK) * _LOG


def _hertz(mel: np.ndarray) -> np.ndarray:
    """The frequencies that are heard so high."""
    knee = _BREAK * _LINEAR
    return np.where(mel < knee, mel / _LINEAR, _BREAK * np.exp((np.maximum(mel, knee) - knee) / _LOG))


_NAMES = {"feature_size": "mels", "sampling_rate": "rate", "hop_length": "step", "n_fft": "window"}
_ONLY = {"padding_value": 0.0, "dither": 0.0, "do_normalize": False, "padding_side": "right"}
_SILENT = {"feature_extractor_type", "processor_class", "return_attention_mask", "mel_filters"}  # it computes them anew


def log_mel_from(data: Mapping[str, Any]) -> LogMel:
    """What a published preprocessor_config.json says (a WhisperFeatureExtractor's; missing fields mean what they mean
    there). ValueError for a field, or a value, that is not understood."""
    known = {*_NAMES, *_ONLY, *_SILENT, "chunk_length", "n_samples", "nb_max_frames"}
    if unknown := [name for name in data if name not in known]:
        raise ValueError(f"the field {unknown[0]!r} is not understood, and may change what is heard")
    for name, value in _ONLY.items():
        if data.get(name, value) not in (value, None):
            raise ValueError(f"{name} is {data[name]!r}; understood is {value!r}")
    sizes = {ours: data[theirs] for theirs, ours in _NAMES.items() if theirs in data}
    sizes["seconds"] = data.get("chunk_length", 30)
    for name, value in sizes.items():
        if type(value) is not int:
            raise ValueError(f"{name} is {value!r}, but it is a whole number")
    made = LogMel(**sizes)
    assert made.seconds is not None
    told = {"n_samples": made.seconds * made.rate, "nb_max_frames": made.places}
    for name, value in told.items():
        if data.get(name, value) != value:
            raise ValueError(
                f"{name} is {data[name]!r}, but chunk_length, sampling_rate and hop_length make it {value}"
            )
    return made


def log_mel_to(made: LogMel) -> dict[str, Any] | None:
    """The preprocessor_config.json that means the same; None where none can say it."""
    if made.seconds is None or made.highest != 8000 or made.normalise:
        return None
    sizes = {theirs: getattr(made, ours) for theirs, ours in _NAMES.items()}
    derived = {"n_samples": made.seconds * made.rate, "nb_max_frames": made.places}
    fixed = {"padding_value": 0.0, "padding_side": "right", "dither": 0.0, "return_attention_mask": False}
    return {"feature_extractor_type": TYPE, "chunk_length": made.seconds} | sizes | derived | fixed


TYPE = "WhisperFeatureExtractor"
