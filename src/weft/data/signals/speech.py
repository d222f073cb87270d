"""What is asked of sounds with transcripts: where they come from, what is held out, how they are joined and varied."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class SoundAugment:
    """How a sound is varied each time it is trained on, as a function of (seed, epoch, sample); held-out ones never.

    speed: it is played up to so much faster or slower, 0.1 by a tenth, and heard higher or lower by as much (Ko et al.
    2015). tempo: it is said up to so much faster or slower, and heard as high as it was. volume: louder or softer by up
    to so many decibels. noise: the share of sounds that white noise is added to, 5 to 30 dB below them. tilt: each
    frequency is louder or softer by a normal number of decibels with this deviation, smoothly from one to the next, as
    through another microphone. warp: frequencies are stretched or pressed by up to so much, as by a shorter or longer
    throat (Jaitly and Hinton 2013, over the bands of hearing). SpecAugment (Park et al. 2019, §2, without time
    warping): bands: so many stretches of up to `band` neighbouring bands become the sound's mean, spans: so many
    stretches of up to `span` frames, and of at most `share` of all of them.
    """

    speed: float = 0.0
    tempo: float = 0.0
    volume: float = 0.0
    noise: float = 0.0
    tilt: float = 0.0
    warp: float = 0.0
    bands: int = 0
    band: int = 8
    spans: int = 0
    span: int = 20
    share: float = 0.2

    @property
    def stretch(self) -> float:
        """The most that a sound's length is ever divided, or multiplied, by."""
        return (1 + self.speed) * (1 + self.tempo)

    @property
    def of_frames(self) -> tuple[str, ...]:
        """The settings in use that are said of frames, not of samples."""
        return tuple(name for name in ("tempo", "warp", "bands", "spans") if getattr(self, name))

    def check(self) -> None:
        """ValueError, naming the setting, for what can be none."""
        for name in ("speed", "tempo", "noise", "warp", "share"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"data.augment.{name}={value}, but it is a share: from 0 to 1")
        for name in ("volume", "tilt", "bands", "band", "spans", "span"):
            if getattr(self, name) < 0:
                raise ValueError(f"data.augment.{name}={getattr(self, name)}, but it is at least 0")


@dataclass(frozen=True)
class SpeechSettings:
    """What is read. source: a registered one. paths: files and folders; a source says what it makes of them."""

    source: str = "sounds"
    paths: tuple[str, ...] = ()
    column: str = "text"  # of a table: what is said
    file: str = "audio"  # of a table: the sound's file, beside the table
    held_out: float = 0.1  # share of the sounds that is never trained on, where nobody says which
    held_out_speaker: str = ""  # all that this one says is held out, and nothing else
    seed: int = 0  # of the split, and of what is joined
    tokenizer: str = "characters"  # a kind, made of all transcripts; or a folder's
    vocab: int = 0  # most ids; 0: as many as the transcripts need
    rate: int = 16000  # samples a second
    window: float = 0.025  # seconds that a frame hears
    step: float = 0.01  # from one frame to the next
    normalise: bool = False  # each band of a sound has mean 0, and all together variance 1
    even: float = 1.0  # then so much of what is taken away is each band's own mean, the rest that of all bands
    join: int = 1  # so many sounds of one speaker at the most, one after the other, are one
    gap: float = 0.3  # the longest silence between two of them, in seconds
    alike: int = 0  # so many of about one length follow one another, so that a step has little padding; 0: none do
    augment: SoundAugment = field(default_factory=SoundAugment)

    def check(self) -> None:
        """ValueError, naming the setting, for what can be none."""
        if not 0 < self.held_out < 1:
            raise ValueError(f"data.held_out={self.held_out}, but a share of the sounds is held out: above 0, below 1")
        if not 1 <= self.join <= 100:
            raise ValueError(f"data.join={self.join}, but so many sounds become one: between 1 and 100")
        if self.gap < 0 or self.alike < 0:
            raise ValueError(f"data.gap={self.gap}, data.alike={self.alike}: both are at least 0")
        if not 0 < self.step <= self.window <= 1:
            raise ValueError(
                f"data.window={self.window}, data.step={self.step}: seconds, above 0, at most 1, and a window is no "
                "shorter than a step"
            )
        if self.even != 1 and not self.normalise:
            raise ValueError(
                f"data.even={self.even} says whose mean data.normalise takes away, and data.normalise=false takes "
                "none: set data.normalise=true, or data.even=1"
            )
        self.augment.check()
