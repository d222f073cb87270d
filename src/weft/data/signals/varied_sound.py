"""Sounds varied: played faster, louder, in noise, by another throat, with parts of what is heard left out."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cache

import numpy as np

from weft.data.signals.speech import SoundAugment

_LOUDEST, _SOFTEST = 5.0, 30.0  # decibels that noise lies below a sound
_BENDS = 6  # frequencies, evenly spread, between which a microphone's curve is straight


def draw_factor(most: float, draw: np.random.Generator) -> float:
    """A factor from 1 / (1 + most) to 1 + most, ratios equally likely; for 0 nothing is drawn."""
    return float(np.exp(draw.uniform(-np.log1p(most), np.log1p(most)))) if most else 1.0


def faster(samples: np.ndarray, factor: float) -> np.ndarray:
    """A sound played `factor` times as fast, or up to a hundredth faster, fp32 [about samples / factor, never more]:
    every frequency becomes as many times as high; what lies above the highest that there is, is lost. By its Fourier
    transform, of sizes for which that is quick: its end, with silence behind, is next to its beginning."""
    known = _quick()
    size = known[min(bisect_left(known, len(samples)), len(known) - 1)]
    if factor == 1 or size < len(samples):
        return samples
    count = known[max(0, bisect_right(known, int(size / factor)) - 1)]
    spectrum = np.fft.rfft(samples, size)
    made = np.zeros(count // 2 + 1, spectrum.dtype)
    kept = min(len(made), len(spectrum))
    made[:kept] = spectrum[:kept]
    wave = np.fft.irfft(made, count) * (count / size)
    return wave[: max(1, len(samples) * count // size)].astype(np.float32)


@cache
def _quick() -> list[int]:
    """Numbers up to a minute's samples or so without a prime factor above 7."""
    found = {1}
    for prime in (2, 3, 5, 7):
        found |= {number * prime**power for number in found for power in range(24) if number * prime**power <= 1 << 22}
    return sorted(found)


def varied_sound(samples: np.ndarray, augment: SoundAugment, draw: np.random.Generator) -> np.ndarray:
    """A sound fp32 [samples] at another volume, through another microphone and in noise; the same draws give the same
    sound."""
    if augment.volume:
        samples = samples * np.float32(10 ** (draw.uniform(-augment.volume, augment.volume) / 20))
    if augment.tilt:
        samples = tilted(samples, augment.tilt * draw.standard_normal(_BENDS))
    if augment.noise and draw.random() < augment.noise:
        below = draw.uniform(_LOUDEST, _SOFTEST)
        power = float(np.mean(np.square(samples, dtype=np.float64)))
        level = (power * 10 ** (-below / 10)) ** 0.5
        samples = samples + np.float32(level) * draw.standard_normal(len(samples), np.float32)
    return samples


def tilted(samples: np.ndarray, decibels: np.ndarray) -> np.ndarray:
    """A sound fp32 [samples] whose frequencies are louder by so many decibels, which are given from the lowest to the
    highest, evenly spread, and lie on straight lines between."""
    known = _quick()
    size = known[min(bisect_left(known, len(samples)), len(known) - 1)]
    spectrum = np.fft.rfft(samples, max(size, len(samples)))
    curve = np.interp(np.linspace(0, len(decibels) - 1, len(spectrum)), np.arange(len(decibels)), decibels)
    return np.fft.irfft(spectrum * 10 ** (curve / 20), max(size, len(samples)))[: len(samples)].astype(np.float32)


def retimed(frames: np.ndarray, factor: float) -> np.ndarray:
    """Frames [T, bands] said `factor` times as fast, as high as they were: [⌊T / factor⌋, bands], at least one, between
    two frames a mixture of them. (`faster` changes a sound's height as well.)"""
    length = max(1, int(len(frames) / factor))
    if factor == 1 or length == len(frames):
        return frames
    return _between(frames, np.linspace(0, len(frames) - 1, length))


def varied_frames(frames: np.ndarray, augment: SoundAugment, draw: np.random.Generator) -> np.ndarray:
    """Frames fp32 [T, bands] as another throat would make them, and with stretches of bands and of frames that are the
    mean of all; the same draws give the same frames."""
    if augment.warp:
        frames = warped(frames, 1 + draw.uniform(-augment.warp, augment.warp))
    if not augment.bands and not augment.spans:
        return frames
    length, width = frames.shape
    mean, frames = frames.mean(), frames.copy()
    for _ in range(augment.bands):
        wide = draw.integers(0, min(augment.band, width) + 1)
        first = draw.integers(0, width - wide + 1)
        frames[:, first : first + wide] = mean
    for _ in range(augment.spans):
        long = draw.integers(0, min(augment.span, int(augment.share * length)) + 1)
        first = draw.integers(0, length - long + 1)
        frames[first : first + long] = mean
    return frames


def warped(frames: np.ndarray, factor: float) -> np.ndarray:
    """Frames [T, bands] whose band b holds what band b · factor did, between two bands a mixture of them; the last one
    where there is none."""
    last = frames.shape[1] - 1
    at = np.minimum(np.arange(last + 1) * factor, last)
    return _between(frames.T, at).T


def _between(rows: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Rows [N, D] at places [M] from 0 to N - 1, between two of them a mixture: [M, D]."""
    below = np.minimum(at.astype(np.int64), max(0, len(rows) - 2))
    part = (at - below).astype(np.float32)[:, None]  # [M, 1]
    return rows[below] * (1 - part) + rows[np.minimum(below + 1, len(rows) - 1)] * part
