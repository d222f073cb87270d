"""Pictures, with classes where they have any."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from weft.data.signals import SignalSettings, prepare_signals, read_processor
from weft.data.signals.pictures import PictureSizes
from weft.data.sources import Say, quiet
from weft.evaluate import check
from weft.recipes.folder import Existing
from weft.recipes.modalities.labelled_feed import LabelledFeed
from weft.recipes.modalities.picture_predict import embed_pictures, predict_signals
from weft.recipes.modality import MODALITIES, Modality
from weft.recipes.predicted import Predicted
from weft.recipes.recipe import Recipe

NEEDS = ("image", "patch", "channels", "classes")  # settings of a model that pictures with classes are read for


class Pictures(Modality):
    """Rows of patches, and a class of each."""

    settings = SignalSettings
    made = "made_pictures"
    called = "pictures"

    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> LabelledFeed:
        """See `prepare_signals`."""
        where = recipe.begin if found is None else out
        known = None if where is None else read_processor(where)
        sizes = PictureSizes.of(recipe.model.config)
        signals = prepare_signals(recipe.data, sizes, None if known is None else known.processor, say)
        for text in signals.notices:
            say(text)
        objective = recipe.minimised
        held_out = objective.turn_signals(signals.held_out, 0)
        check(held_out, objective)
        train = objective.turn_signals(signals.train, recipe.train.seed)
        return LabelledFeed(recipe, recipe.model, train, held_out, signals.notices, signals)

    def check(self, recipe: Recipe) -> None:
        """ValueError for a model that has no pictures' sizes."""
        known = dir(recipe.model.config)  # fields, and what is computed of them
        if PictureSizes.of(recipe.model.config) is not None:
            return
        if "grid" in known:
            raise ValueError(
                f"{recipe.model.family} reads a grid of {list(recipe.model.config.grid)}, and pictures are square: set "
                "model.grid=28,28, say"
            )
        if lacks := [field for field in NEEDS if field not in known]:
            raise ValueError(
                f"{recipe.model.family} has no {' and no '.join(lacks)}, and pictures with classes need them: choose "
                "another family (`weft list`), or other data"
            )

    def predict(
        self, folder: Path, data: Path, out: Path | None, *, labelled: bool, device: str = "auto", say: Say = quiet
    ) -> Predicted:
        """The likeliest classes of each picture."""
        return predict_signals(folder, data, out, labelled=labelled, device=device, say=say)

    def embed(
        self, folder: Path, data: Path, *, device: str = "auto", say: Say = quiet
    ) -> tuple[tuple[str, ...], np.ndarray]:
        """The pooled state of each picture."""
        return embed_pictures(folder, data, device=device, say=say)


MODALITIES.register("pictures", Pictures())
