"""From words on a command line to rows of sounds with transcripts: read, split, fit a tokenizer and a processor."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from weft.batch import Tokenizer, Unfit
from weft.data import sides
from weft.data.signals.mel import LogMel
from weft.data.signals.recordings import SOUND_SOURCES, Recording
from weft.data.signals.speech import SpeechSettings
from weft.data.signals.utterances import Hearing, Utterances
from weft.data.signals.wave import Waveform
from weft.data.sources import Say, quiet
from weft.data.tokenizers import train_tokenizer


@dataclass(frozen=True)
class Spoken:
    """Recordings to train on and held out, all with transcripts."""

    train: list[Recording]
    held_out: list[Recording]
    split: str  # of what they are called, see `sides.digest`
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Speech:
    """Rows to train on and rows held out, what made them, and the names of their classes where these are asked. digest:
    of all of them and of the settings: equal digests mean equal rows. split: that of `Spoken`."""

    train: Utterances
    held_out: Utterances
    hearing: Hearing
    digest: str
    split: str
    notices: tuple[str, ...] = ()


def read_spoken(settings: SpeechSettings, say: Say = quiet) -> Spoken:
    """The recordings of a registered source, split. ValueError for a sound without a transcript, a speaker that there
    is not, and where nothing is left to train on or to hold out."""
    settings.check()
    found = SOUND_SOURCES.get(settings.source)(settings, say)
    used, notices = sides.without_tests([one.name for one in found], [one.side for one in found], "sounds")
    found = [found[at] for at in np.flatnonzero(used)]
    if unsaid := [one.name for one in found if not one.text]:
        raise ValueError(
            f"nothing says what is said in {len(unsaid):,} of {len(found):,} sounds, {unsaid[0]} say: name them in a "
            "table of files and transcripts (.tsv), or call each by what is said in it"
        )
    held = held_of(found, settings)
    way = sides.way_out([one.side for one in found], settings.held_out)
    if settings.held_out_speaker:
        way = f"{settings.held_out_speaker} is held out, and nobody else speaks: give more, or leave the setting out"
    sides.check_both(held, "sounds", way)
    train, other = ([one for one, out in zip(found, held, strict=True) if out == side] for side in (False, True))
    say(f"read {len(found):,} sounds; {len(other):,} of them held out")
    return Spoken(train, other, sides.digest([one.name for one in found], held), notices)


def held_of(found: Sequence[Recording], settings: SpeechSettings) -> np.ndarray:
    """Which recordings are held out, bool [N]: a speaker's that are not left out; else see `sides.held_out`. ValueError
    for a speaker that there is not."""
    names, said = [one.name for one in found], [one.side for one in found]
    if settings.held_out_speaker:
        there = sorted({one.speaker for one in found})
        if settings.held_out_speaker not in there:
            raise ValueError(
                f"data.held_out_speaker={settings.held_out_speaker}, but those who speak are "
                f"{', '.join(name or '(not said)' for name in there)}"
            )
        return np.array([one.speaker == settings.held_out_speaker for one in found]) & sides.in_use(said)
    return sides.held_out(names, said, settings.held_out, settings.seed)


def processor_for(settings: SpeechSettings, channels: int) -> LogMel | Waveform:
    """What makes rows of `channels` numbers: log-mel frames, or, of one number, the samples themselves. ValueError for
    what is said of frames where there are none."""
    if channels == 1:
        if settings.normalise or settings.even != 1:
            raise ValueError(
                f"data.normalise={str(settings.normalise).lower()}, data.even={settings.even}: they are said of bands, "
                "and this model reads samples, which have none: set data.normalise=false and data.even=1"
            )
        return Waveform(settings.rate)
    window = 2 * round(settings.window * settings.rate / 2)
    step, highest = round(settings.step * settings.rate), min(8000, settings.rate // 2)
    return LogMel(settings.rate, channels, window, step, highest, None, settings.normalise, settings.even)


def tokenizer_for(settings: SpeechSettings, texts: Sequence[str]) -> Tokenizer:
    """A tokenizer of the settings' kind, trained on transcripts; where several are joined, by spaces."""
    joined = [*texts, *([" ".join(texts[:2])] if settings.join > 1 else [])]
    return train_tokenizer(settings.tokenizer, joined, settings.vocab)


def prepare_speech(
    settings: SpeechSettings,
    spoken: Spoken,
    hearing: Hearing,
    fits: Callable[[int, str], bool],
    say: Say = quiet,
) -> Speech:
    """Rows of recordings. fits: whether a model can hear so many places and say this of them; recordings of which it
    cannot, played as fast and as slow as they are ever played, are left out, and it is said. Unfit where none are left,
    and for a held-out transcript that the tokenizer cannot say."""
    quick, parts, notices = settings.augment.stretch, list[list[Recording]](), [*spoken.notices]
    for side, most in ((spoken.train, quick), (spoken.held_out, 1.0)):
        able = [one for one in side if all(fits(_places(one, hearing, by), one.text or "") for by in (most, 1 / most))]
        if not able:
            raise Unfit(
                f"none of {len(side):,} sounds is of a length that this model can hear and say: {_why(side, hearing)}"
            )
        if left := len(side) - len(able):
            notices.append(f"{left:,} sounds are left out: {_why([o for o in side if o not in able], hearing)}")
        parts.append(able)
    gap = round(settings.gap * settings.rate)
    train = Utterances(
        parts[0], hearing, join=settings.join, gap=gap, augment=settings.augment, seed=settings.seed,
        alike=settings.alike,
    )  # fmt: skip
    other = Utterances(parts[1], hearing, join=settings.join, gap=gap, seed=settings.seed + 1)
    seconds = sum(len(one.samples) for one in parts[0]) / settings.rate
    say(f"{len(train):,} sounds of {seconds / 60:,.1f} minutes to train on, {len(other):,} held out")
    return Speech(train, other, hearing, _digest(settings, hearing, parts), spoken.split, tuple(notices))


def _places(one: Recording, hearing: Hearing, speed: float) -> int:
    return int(len(one.samples) / speed) // hearing.step


def _why(sounds: Sequence[Recording], hearing: Hearing) -> str:
    """What is odd about the first of some sounds."""
    one = sounds[0]
    rate = hearing.processor.rate
    most = "any length" if hearing.longest is None else f"at most {hearing.longest * hearing.step / rate:g} seconds"
    return (
        f"{one.name}, say, lasts {len(one.samples) / rate:g} seconds and says {one.text!r}; the model hears {most}, "
        "and needs a place for each token, and one between two that are equal"
    )


def _digest(settings: SpeechSettings, hearing: Hearing, parts: Sequence[Sequence[Recording]]) -> str:
    said = (settings.augment, settings.join, settings.gap, settings.seed, settings.alike, hearing.processor)
    digest = hashlib.sha256(repr((said, hearing.form, hearing.classes, hearing.begins, hearing.longest)).encode())
    for side in parts:
        digest.update(str(len(side)).encode())
        for one in side:
            digest.update(f"{one.text}\n{one.speaker}\n{len(one.samples)}\n".encode())
            digest.update(np.ascontiguousarray(one.samples).data)
    return digest.hexdigest()
