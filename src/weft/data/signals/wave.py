"""A sound as its samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weft.data.signals.sound import read_sound

Samples = np.ndarray | Tensor
"""A sound: floating point [samples], between -1 and 1, one channel."""

TYPE = "Wav2Vec2FeatureExtractor"
_ONLY = {"feature_size": 1, "padding_value": 0.0, "padding_side": "right"}
_SILENT = {"feature_extractor_type", "processor_class", "return_attention_mask"}


def one_channel(samples: Samples) -> Tensor:
    """A sound's samples as fp32 [samples]. ValueError for what is no sound of one channel."""
    wave = torch.as_tensor(samples)
    if wave.ndim != 1 or not wave.is_floating_point():
        kind = f"{str(wave.dtype).removeprefix('torch.')} {list(wave.shape)}"
        raise ValueError(
            f"a sound is floating point [samples], of one channel, between -1 and 1, and this is {kind}: mix its "
            "channels, and divide whole numbers by the largest they can be (2^15 of 16 bits)"
        )
    wave = wave.to(dtype=torch.float32, device="cpu")
    if not bool(wave.isfinite().all()):
        raise ValueError("a sound has samples that are no finite numbers: read it anew, or repair it")
    return wave


@dataclass(frozen=True)
class Waveform:
    """A sound's samples, as Wav2Vec 2.0 hears them: vectors of one number, `rate` a second, with mean 0 and variance 1
    where they are normalised."""

    rate: int = 16000
    normalise: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.rate <= 2**20:
            raise ValueError(f"rate = {self.rate}, but it must be between 1 and {2**20}")

    @property
    def channels_of_place(self) -> int:
        """Numbers of a vector."""
        return 1

    def __call__(self, samples: Samples) -> Tensor:
        """A sound [samples] at `rate` -> fp32 [samples, 1]. ValueError for what is no sound of one channel."""
        wave = one_channel(samples)
        if not len(wave):
            raise ValueError("a sound of 0 samples is too short: at least 1 makes a vector")
        if self.normalise:
            variance, mean = torch.var_mean(wave.double(), correction=0)
            wave = ((wave - mean) / (variance + 1e-7).sqrt()).float()
        return wave[:, None]

    def read(self, path: Path) -> np.ndarray:
        """The sound in a file: see `read_sound`."""
        return read_sound(path, rate=self.rate)

    def rows(self, signals: np.ndarray) -> np.ndarray:
        """Sounds of one length [N, samples] as fp32 [N, samples, 1]."""
        return np.stack([self(samples).numpy() for samples in signals])


def waveform_from(data: Mapping[str, Any]) -> Waveform:
    """What a published preprocessor_config.json says (a Wav2Vec2FeatureExtractor's; missing fields mean what they mean
    there). ValueError for a field, or a value, that is not understood."""
    known = {*_ONLY, *_SILENT, "sampling_rate", "do_normalize"}
    if unknown := [name for name in data if name not in known]:
        raise ValueError(f"the field {unknown[0]!r} is not understood, and may change what is heard")
    for name, value in _ONLY.items():
        if data.get(name, value) != value:
            raise ValueError(f"{name} is {data[name]!r}; understood is {value!r}")
    rate, normalise = data.get("sampling_rate", 16000), data.get("do_normalize", True)
    if type(rate) is not int or type(normalise) is not bool:
        raise ValueError(f"sampling_rate is {rate!r}, do_normalize {normalise!r}: a whole number, and true or false")
    return Waveform(rate, normalise)
