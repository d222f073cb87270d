"""Pictures: from a file, or from pixels, to patches. pillow is an extra, imported where a file is read."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from weft.batch import Unfit

MOST_PIXELS = 50_000_000  # of a file that is decoded: a picture of 150 MB, three bytes a pixel

Resample = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Fit = Literal["squeeze", "crop"]


ANY = 2**31  # classes that there may be, where a model tells none apart


@dataclass(frozen=True)
class PictureSizes:
    """What pictures are read for: `image` pixels wide and high, in patches of `patch`, of grey or colours, and how many
    classes of them are told apart."""

    image: int
    patch: int
    channels: int
    classes: int

    @staticmethod
    def of(config: Any) -> PictureSizes | None:
        """Of a model's settings; of one that reads the places of a square grid, of pixels. None for a model that reads
        no pictures with classes."""
        known = set(dir(config))  # fields, and what is computed of them
        if {"image", "patch", "channels", "classes"} <= known:
            return PictureSizes(config.image, config.patch, config.channels, config.classes)
        if not {"grid", "channels", "classes"} <= known or len(config.grid) != 2 or config.grid[0] != config.grid[1]:
            return None
        return PictureSizes(config.grid[0], 1, config.channels, config.classes)


@dataclass(frozen=True)
class Patches:
    """Pixels as patches: [N, height, width, channels] uint8 -> fp32 [N, (image / patch)², channels · patch²].

    Patches go from left to right and from top to bottom, a patch's numbers by channel, row, column; each number is
    (value / 255 - mean) / std of its channel. A picture of another size is made `image` pixels wide and high: all of it
    ("squeeze"), or the middle of it once its shorter side fits ("crop").
    """

    image: int
    patch: int
    channels: int = 3
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    resample: Resample = "bicubic"
    fit: Fit = "squeeze"

    def __post_init__(self) -> None:
        if self.image % self.patch:
            raise ValueError(f"image={self.image} pixels are no whole number of patches of {self.patch}")
        if self.channels not in (1, 3):
            raise ValueError(f"channels={self.channels}: pictures are grey (1) or red, green and blue (3)")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise ValueError(f"{name} has {len(values)} numbers for {self.channels} channels: one each, or one")
        if min(self.std) <= 0:
            raise ValueError(f"std={min(self.std)}, but numbers are divided by it: above 0")

    @property
    def channels_of_place(self) -> int:
        """Numbers of a patch."""
        return self.channels * self.patch**2

    @staticmethod
    def of(config: Any, pixels: np.ndarray) -> Patches:
        """For a model of these settings, by the mean and deviation of pixels uint8 [N, height, width, channels]."""
        scaled = pixels.reshape(-1, pixels.shape[-1])[:: max(1, len(pixels) // 4000)].astype(np.float64) / 255
        mean, std = scaled.mean(axis=0), scaled.std(axis=0).clip(min=1e-3)
        centre, spread = (tuple(round(float(value), 4) for value in values) for values in (mean, std))
        return Patches(config.image, config.patch, config.channels, centre, spread)

    def read(self, path: Path) -> np.ndarray:
        """The pixels of a picture's file, of the size and channels that are read: uint8 [image, image, channels]."""
        return self.fitted(opened(path, self.channels))

    def fitted(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [height, width, channels] -> [image, image, channels]."""
        if pixels.shape[:2] == (self.image, self.image):
            return pixels
        from PIL import Image

        picture = Image.fromarray(pixels[..., 0] if self.channels == 1 else pixels)
        how, (width, height) = Image.Resampling[self.resample.upper()], picture.size
        if self.fit == "squeeze":
            made = picture.resize((self.image, self.image), how)
        else:
            short = min(width, height)
            size = (int(self.image * width / short), int(self.image * height / short))
            left, top = (size[0] - self.image) // 2, (size[1] - self.image) // 2
            made = picture.resize(size, how).crop((left, top, left + self.image, top + self.image))
        found = np.asarray(made)
        return found[..., None] if found.ndim == 2 else found

    def rows(self, signals: np.ndarray) -> np.ndarray:
        """uint8 [N, image, image, channels] -> fp32 [N, T, C]. Unfit for other sizes."""
        count, height, width, channels = signals.shape
        if (height, width, channels) != (self.image, self.image, self.channels):
            raise Unfit(
                f"pictures are {height} x {width} of {channels} channels, and this processor "
                f"makes patches of {self.image} x {self.image} of {self.channels}: model.image and model.channels of a "
                "model that goes on stay as they were"
            )
        scaled = (signals.astype(np.float32) * np.float32(1 / 255) - self._numbers(self.mean)) / self._numbers(self.std)
        side = self.image // self.patch
        cut = scaled.reshape(count, side, self.patch, side, self.patch, channels)  # [N, row, y, column, x, channel]
        return np.ascontiguousarray(cut.transpose(0, 1, 3, 5, 2, 4)).reshape(count, side * side, -1)  # [N, T, C]

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        """The way back: fp32 [N, T, C] -> uint8 [N, image, image, channels], cut off at black and white."""
        side, count = self.image // self.patch, len(rows)
        cut = rows.reshape(count, side, side, self.channels, self.patch, self.patch).transpose(0, 1, 4, 2, 5, 3)
        scaled = cut.reshape(count, self.image, self.image, self.channels)
        values = (scaled * self._numbers(self.std) + self._numbers(self.mean)) * 255
        return values.round().clip(0, 255).astype(np.uint8)

    def _numbers(self, values: tuple[float, ...]) -> np.ndarray:
        return np.asarray(values, np.float32)


def opened(path: Path, channels: int) -> np.ndarray:
    """The pixels of a picture's file, uint8 [height, width, channels], turned as its EXIF says; where it is see-through
    it lies on white; of 16 bits x / 257 is read, rounded.

    ValueError naming the file for what is no picture, is damaged, or is larger than MOST_PIXELS, which its head says
    before anything is decoded.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ValueError("pictures are read with pillow: pip install 'weft[vision]'") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pillow's own of large pictures: the limit below is ours
            with Image.open(path) as picture:
                width, height = picture.size
                if width * height > MOST_PIXELS:
                    raise ValueError(
                        f"{path} is a picture of {width:,} x {height:,} pixels, and at most {MOST_PIXELS:,} are read: "
                        "make it smaller"
                    )
                return _plain(picture, channels)
    except FileNotFoundError as error:
        raise ValueError(f"there is no file {path}") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is no picture that pillow can read (PNG, JPEG, WebP, GIF, BMP …)") from error
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is a damaged picture: {error}") from error


def _plain(picture: Any, channels: int) -> np.ndarray:
    """As it is to be looked at. ValueError for numbers that say no brightness."""
    from PIL import Image, ImageOps

    if picture.mode in ("F", "I"):
        raise ValueError(
            f"{picture.filename} holds numbers of 32 bits, of which nothing says what is black and what white: save it "
            "with 8 or 16"
        )
    picture = ImageOps.exif_transpose(picture)  # a camera held upright says so beside the pixels
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture, np.uint16) / 257).round().astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        seen = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    found = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return found[..., None] if channels == 1 else found
