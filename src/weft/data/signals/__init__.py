"""Signals in: pictures, sounds, music, series become rows of vectors by a processor, which is kept beside the model."""

from weft.data.signals.colours import Colours
from weft.data.signals.control import EPISODE_SOURCES, Control, EpisodeSettings, prepare_episodes
from weft.data.signals.labelled import Labelled
from weft.data.signals.mel import LogMel
from weft.data.signals.pictures import Patches
from weft.data.signals.prepare import SIGNAL_SOURCES, Signals, prepare_signals
from weft.data.signals.processors import PROCESSOR, PROCESSORS, Processor, Reads, read_processor, write_processor
from weft.data.signals.settings import Augment, PixelSettings, SignalSettings
from weft.data.signals.sound import read_sound
from weft.data.signals.speech import SoundAugment, SpeechSettings
from weft.data.signals.steps import Steps, Windows
from weft.data.signals.wave import Waveform

__all__ = [
    "EPISODE_SOURCES",
    "PROCESSOR",
    "PROCESSORS",
    "SIGNAL_SOURCES",
    "Augment",
    "Colours",
    "Control",
    "EpisodeSettings",
    "Labelled",
    "LogMel",
    "Patches",
    "PixelSettings",
    "Processor",
    "Reads",
    "SignalSettings",
    "Signals",
    "SoundAugment",
    "SpeechSettings",
    "Steps",
    "Waveform",
    "Windows",
    "prepare_episodes",
    "prepare_signals",
    "read_processor",
    "read_sound",
    "write_processor",
]
