"""Signals in: pictures, sounds, music, series become rows of vectors by a processor, which is kept beside the model."""

from weft.data.signals.colours import Colours
from weft.data.signals.labelled import Labelled
from weft.data.signals.mel import LogMel
from weft.data.signals.pictures import Patches
from weft.data.signals.prepare import SIGNAL_SOURCES, Signals, prepare_signals
from weft.data.signals.processors import PROCESSOR, PROCESSORS, Processor, Reads, read_processor, write_processor
from weft.data.signals.settings import Augment, PixelSettings, SignalSettings
from weft.data.signals.sound import read_sound
from weft.data.signals.wave import Waveform

__all__ = [
    "PROCESSOR",
    "PROCESSORS",
    "SIGNAL_SOURCES",
    "Augment",
    "Colours",
    "Labelled",
    "LogMel",
    "Patches",
    "PixelSettings",
    "Processor",
    "Reads",
    "SignalSettings",
    "Signals",
    "Waveform",
    "prepare_signals",
    "read_processor",
    "read_sound",
    "write_processor",
]
