"""What is asked of signals: where they come from, what is held out, and how they are varied in training."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Augment:
    """How a picture is varied each time it is trained on, as a function of (seed, epoch, sample); held-out ones never.

    flip: half of them are mirrored, left to right. shift: each is moved by up to so many pixels either way, its edge
    filled with 0. erase: the share of them of which a rectangle of 2% to a third of the area is filled with 0 (Zhong et
    al. 2020, §3, with 0 for their noise). zoom, turn: each is made larger or smaller by up to this share, and turned by
    up to so many degrees, at a place drawn within what that leaves; its edge goes on. colour: each channel is made
    lighter or darker by up to this share.
    """

    flip: bool = False
    shift: int = 0
    erase: float = 0.0
    zoom: float = 0.0
    turn: float = 0.0
    colour: float = 0.0

    def check(self) -> None:
        """ValueError, naming the setting, for what can be none."""
        if self.shift < 0:
            raise ValueError(f"data.augment.shift={self.shift}, but it is a number of pixels: at least 0")
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
