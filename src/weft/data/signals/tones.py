"""Sounds made on the spot, for runs that must need no file: each digit a tone of its own, and each speaker."""

from __future__ import annotations

import numpy as np

from weft.data.names import Side
from weft.data.signals.digits import NAMES
from weft.data.signals.recordings import SOUND_SOURCES, Recording
from weft.data.signals.speech import SpeechSettings
from weft.data.sources import Say, quiet

SPEAKERS, TAKES = ("anna", "ben", "cleo"), 4


def made_sounds(settings: SpeechSettings, say: Say = quiet) -> list[Recording]:
    """Every digit by three speakers, four times, at `rate` samples a second; the first of each is held out where no
    speaker is."""
    draw, found = np.random.default_rng(settings.seed), list[Recording]()
    for digit, name in enumerate(NAMES):
        for place, speaker in enumerate(SPEAKERS):
            for take in range(TAKES):
                hertz = 200.0 * 1.3**digit * 1.05**place
                samples = tone(hertz, draw.uniform(0.2, 0.3), settings.rate, draw)
                side = Side.TRAIN if take else Side.HELD_OUT
                found.append(Recording(f"{digit}_{speaker}_{take}.wav", samples, name, speaker, side))
    return found


def tone(hertz: float, seconds: float, rate: int, draw: np.random.Generator) -> np.ndarray:
    """A tone with its first overtone, which swells and dies away, in a little noise: fp32 [samples]."""
    at = np.arange(max(2, round(seconds * rate))) / rate
    wave = np.sin(2 * np.pi * hertz * at) + 0.4 * np.sin(4 * np.pi * hertz * at)
    shape = np.abs(np.sin(np.pi * np.arange(len(at)) / (len(at) - 1))) ** 0.5
    return (0.3 * shape * wave + 0.003 * draw.standard_normal(len(at))).astype(np.float32)


SOUND_SOURCES.register("made_sounds", made_sounds)
