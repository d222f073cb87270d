"""Pictures, read and written pixel by pixel, as ids of colours; by class where that is asked for."""

from __future__ import annotations

import math
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from weft.data.progress import counted
from weft.data.signals import Colours, PixelSettings, Signals, prepare_signals
from weft.data.signals.pictures import ANY, PictureSizes
from weft.data.signals.prepare import PICTURES
from weft.data.sources import Say, quiet
from weft.evaluate import check
from weft.hub import load
from weft.hub.preprocessor import reads_of
from weft.nn import Decoder
from weft.recipes.folder import Existing
from weft.recipes.modalities.drawn import Draws
from weft.recipes.modalities.known_classes import check_classes, known_classes
from weft.recipes.modalities.picture_predict import answered
from weft.recipes.modalities.pixel_feed import PixelFeed
from weft.recipes.modalities.pixel_rows import ROWS, PixelRows, nats_by_class, openings, pictures_of
from weft.recipes.modality import MODALITIES, Drawn
from weft.recipes.predicted import Predicted
from weft.recipes.recipe import Recipe
from weft.training.world import place

NEEDS = ("vocab", "context")  # settings of a model that pixels are read for


class Pixels(Draws):
    """Rows of what begins a picture, its class where that is asked for, and its pixels."""

    settings = PixelSettings
    made = "made_pictures"
    called = "pixels of pictures"
    fixed = ("image", "channels", "by_class")
    endings = PICTURES
    hears = ("prompts", "count", "temperature", "top_k", "top_p", "seed")

    @property
    def examples(self) -> str:
        """Pictures, whole."""
        return "pictures"

    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> PixelFeed:
        """See `prepare_signals`. ValueError for a model that has not the places or the ids."""
        known = _known(recipe.begin if found is None else out)
        data, model = recipe.data, recipe.model.config
        by_class = data.by_class if known is None else known.by_class
        side = data.image or math.isqrt(max(1, model.context - 1 - by_class))
        fit = partial(_fitted, count=model.vocab - 1, by_class=by_class)
        where = recipe.begin if found is None else out
        names = known_classes(where) if where is not None and by_class else ()
        signals = prepare_signals(data, PictureSizes(side, 1, data.channels, ANY), known, say, fit, names)
        check_classes(signals.classes, names, where)
        _fits(signals, model)
        for text in signals.notices:
            say(text)
        train, held_out = (
            PixelRows(part, model.vocab - 1, by_class=by_class) for part in (signals.train, signals.held_out)
        )
        check(held_out, recipe.minimised)
        return PixelFeed(recipe, recipe.model, train, held_out, signals.notices, signals)

    def check(self, recipe: Recipe) -> None:
        """ValueError for a model that reads no ids."""
        known = {field.name for field in fields(recipe.model.config)}
        if lacks := [field for field in NEEDS if field not in known]:
            raise ValueError(f"{recipe.model.family} has no {' and no '.join(lacks)}, so it writes no pixels: choose "
                             "another family (`weft list`), or other data")  # fmt: skip

    def predict(
        self, folder: Path, data: Path, out: Path | None, *, labelled: bool, device: str = "auto", say: Say = quiet
    ) -> Predicted:
        """The classes under which a picture's pixels are likeliest (Bayes' rule, all classes being as common)."""
        module, begin, processor, classes = opened(folder, device)
        if not processor.by_class:
            raise ValueError(f"{folder} knows no classes: train with data.by_class=true to ask for them")

        def ask(signals: np.ndarray) -> np.ndarray:
            advance, parts = counted(say, "asked", len(signals)), list[np.ndarray]()
            for start in range(0, len(signals), ROWS):
                some = signals[start : start + ROWS]
                nats = nats_by_class(module, processor, begin, len(classes), some)
                odds = np.exp(nats.min(axis=1, keepdims=True) - nats)
                parts.append(odds / odds.sum(axis=1, keepdims=True))
                advance(len(some))
            return np.concatenate(parts)

        return answered(folder, data, out, processor.sized, classes, ask, labelled=labelled, say=say)

    def draw(
        self, folder: Path, asked: Drawn, *, device: str = "auto", say: Say = quiet
    ) -> tuple[np.ndarray, tuple[str, ...] | None]:
        """Pictures of the classes that are asked for; without any, of each in turn."""
        self.heard(asked)
        module, begin, processor, classes = opened(folder, device)
        every = asked.prompts or (classes if processor.by_class else ("",))
        names = [name for name in every for _ in range(asked.count)]
        rows = openings(processor, classes, begin, names)
        say(f"drawing {len(rows):,} pictures of {processor.image} x {processor.image} pixels, one after another …")
        return pictures_of(module, processor, rows, asked), tuple(names) if processor.by_class else None


class Writes(NamedTuple):
    """A model that writes pixels, the id that begins a picture, what makes its rows, and its classes."""

    module: Decoder
    begin: int
    processor: Colours
    classes: tuple[str, ...]


def opened(folder: Path, device: str) -> Writes:
    """The model in a folder. ValueError for one that writes no pixels."""
    model = load(folder, device=device if device != "auto" else place("auto"))
    if model.reads is None or not isinstance(model.reads.processor, Colours) or not isinstance(model.module, Decoder):
        raise ValueError(f"{folder} writes no pixels: name a model that was trained to")
    return Writes(model.module, model.config.vocab - 1, model.reads.processor, model.reads.classes)


def _known(folder: Path | None) -> Colours | None:
    """What makes the rows of the model that is gone on with; None: it is a new one. ValueError for another kind."""
    reads = None if folder is None else reads_of(folder)
    if reads is None:
        return None
    if not isinstance(reads.processor, Colours):
        raise ValueError(f"{folder} reads no pixels: go on from a model that was trained on some")
    return reads.processor


def _fitted(config: Any, pixels: np.ndarray, count: int, *, by_class: bool) -> Colours:
    return Colours.of(pixels, count, by_class=by_class)


def _fits(signals: Signals, model: Any) -> None:
    """ValueError for a model whose ids or places are too few."""
    processor = signals.processor
    assert isinstance(processor, Colours)
    side, by_class, colours = processor.image, processor.by_class, model.vocab - 1
    needed = side**2 + 1 + by_class
    if needed > model.context:
        said = "begin, a class and " if by_class else "begin and "
        raise ValueError(
            f"model.context={model.context}, but a row of {said}{side} x {side} pixels takes {needed}: set "
            f"model.context={needed}, or a smaller data.image"
        )
    if len(processor.colours) != colours:
        raise ValueError(f"model.vocab={model.vocab}, but {len(processor.colours)} colours take one more: set it so")
    if by_class and len(signals.classes) > colours:
        raise ValueError(
            f"{len(signals.classes)} classes are written as colours, and there are {colours}: set "
            f"model.vocab={len(signals.classes) + 1}, or data.by_class=false"
        )


MODALITIES.register("pixels", Pixels())
