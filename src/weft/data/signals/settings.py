"""What is asked of signals: where they come from, what is held out, and how they are varied in training."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Augment:
    """How a picture is varied each time it is trained on, as a function of (seed, epoch, sample); held-out ones never.

    flip: half of them are mirrored, left to right. crop: each is a cutting of at least this share of the picture, up to
    all of it, between 3:4 and 4:3 in its sides, made as large as the picture was (Szegedy et al. 2015; Chen et al.
    2020, App. A, whose share is 0.08); 1: none is cut. shift: each is moved by up to so many pixels either way; what
    that uncovers is as the edge beside it. zoom, turn: each is made larger or smaller by up to this share, and turned
    by up to so many degrees, at a place drawn within what that leaves; its edge goes on. light: its brightness, and
    then its contrast about the picture's mean, are times a number between 1 - light and 1 + light. colour: each channel
    is made lighter or darker by up to this share. erase: the share of them of which a rectangle of 2% to a third of the
    area is filled with 0 (Zhong et al. 2020, §3, with 0 for their noise).
    """

    flip: bool = False
    crop: float = 1.0
    shift: int = 0
    light: float = 0.0
    erase: float = 0.0
    zoom: float = 0.0
    turn: float = 0.0
    colour: float = 0.0

    def check(self) -> None:
        """ValueError, naming the setting, for what can be none."""
        if self.shift < 0:
            raise ValueError(f"data.augment.shift={self.shift}, but it is a number of pixels: at least 0")
        if not 0 < self.crop <= 1:
            raise ValueError(f"data.augment.crop={self.crop}, but a share of each picture is left: above 0, at most 1")
        if not 0 <= self.light < 1:
            raise ValueError(f"data.augment.light={self.light}, but it is a share of the light: from 0, below 1")
        if not 0 <= self.erase <= 1:
            raise ValueError(f"data.augment.erase={self.erase}, but it is a share of the pictures: from 0 to 1")
        for name, value, most in (("zoom", self.zoom, 0.9), ("turn", self.turn, 180), ("colour", self.colour, 1)):
            if not 0 <= value <= most:
                raise ValueError(f"data.augment.{name}={value}, but it lies between 0 and {most}")


@dataclass(frozen=True)
class SignalSettings:
    """What is read. source: a registered one. paths: files and folders; a source says what it makes of them."""

    source: str = "pictures"
    paths: tuple[str, ...] = ()
    held_out: float = 0.1  # share of the samples that is never trained on, where the files' names do not say it
    seed: int = 0  # of the split
    examples: int = 0  # so many of those to train on are, of each class in proportion, chosen by the seed; 0: all
    augment: Augment = field(default_factory=Augment)

    def check(self) -> None:
        """ValueError, naming the setting, for what can be none."""
        if not 0 < self.held_out < 1:
            raise ValueError(f"data.held_out={self.held_out}, but a share of the samples is held out: above 0, below 1")
        if self.examples < 0:
            raise ValueError(f"data.examples={self.examples}, but it is a number of samples: at least 1, or 0 for all")
        self.augment.check()


@dataclass(frozen=True)
class PixelSettings(SignalSettings):
    """The same, of pictures that a model reads and writes pixel by pixel. image: pixels of a side; 0: as many as the
    model has places for. channels: grey (1), or red, green and blue (3). by_class: each row begins with the picture's
    class, so that one can be asked for."""

    image: int = 0
    channels: int = 1
    by_class: bool = False

    def check(self) -> None:
        """ValueError, naming the setting, for what can be none."""
        super().check()
        if self.image < 0 or self.channels not in (1, 3):
            raise ValueError(f"data.image={self.image}, data.channels={self.channels}: a side's pixels; and 1 or 3")
