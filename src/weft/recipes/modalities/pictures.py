"""Pictures, with classes where they have any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from weft.data.signals import SignalSettings, prepare_signals
from weft.data.signals.pictures import ANY, PictureSizes
from weft.data.signals.prepare import PICTURES
from weft.data.sources import Say, quiet
from weft.evaluate import check
from weft.hub import read_blueprint
from weft.hub.preprocessor import reads_of
from weft.models import Blueprint
from weft.objectives import Classes
from weft.recipes.feed import Anew
from weft.recipes.folder import Existing, trained_with
from weft.recipes.modalities.labelled_feed import LabelledFeed
from weft.recipes.modalities.picture_predict import embed_pictures, predict_signals
from weft.recipes.modality import MODALITIES, Modality
from weft.recipes.predicted import Predicted
from weft.recipes.recipe import Recipe

HEAD = f"heads.{Classes.asks}."
NEEDS = ("image", "patch", "channels", "classes")  # settings of a model that pictures with classes are read for


class Pictures(Modality):
    """Rows of patches, and a class of each."""

    settings = SignalSettings
    made = "made_pictures"
    called = "pictures"
    endings = PICTURES

    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> LabelledFeed:
        """See `prepare_signals`."""
        where = recipe.begin if found is None else out
        known = None if where is None else reads_of(where)
        sizes, names = PictureSizes.of(recipe.model.config), told_apart(recipe)
        assert sizes is not None, "checked before"
        if names:  # then a head for other classes may begin anew
            sizes = replace(sizes, classes=ANY)
        signals = prepare_signals(recipe.data, sizes, None if known is None else known.processor, say, names=names)
        model, anew = headed(recipe, signals.classes, names)
        notices = (*signals.notices, *([_anew(signals.classes, names, recipe)] if anew else []))
        for text in notices:
            say(text)
        objective = recipe.minimised
        held_out = objective.turn_signals(signals.held_out, 0)
        check(held_out, objective)
        train = objective.turn_signals(signals.train, recipe.train.seed)
        return LabelledFeed(recipe, model, train, held_out, notices, signals, anew)

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


def told_apart(recipe: Recipe) -> tuple[str, ...]:
    """What the classes are called that the model a run begins with was trained to tell apart; none where it was not, or
    nothing asks for them now."""
    if recipe.begin is None or not isinstance(recipe.minimised, Classes):
        return ()
    was = trained_with(recipe.begin)
    if was is not None and not isinstance(was, Classes):
        return ()
    reads = reads_of(recipe.begin)
    return () if reads is None else reads.classes


def headed(recipe: Recipe, classes: Sequence[str], names: Sequence[str]) -> tuple[Blueprint, Anew | None]:
    """The model for classes of the data, and what of it begins anew: its head, where it knew others. ValueError for
    fewer classes than there are, where somebody said how many."""
    model = recipe.model
    if not names or tuple(classes) == tuple(names):
        return model, None
    assert recipe.begin is not None
    count, was = model.config.classes, read_blueprint(recipe.begin).config.classes
    if count != was and count < len(classes):
        raise ValueError(f"model.classes={count}, and the data have {len(classes)} ({', '.join(classes[:5])} …)")
    fitted = model.change("classes", str(len(classes) if count == was else count))
    return fitted, Anew((HEAD,), model.change("classes", str(was)))


def _anew(classes: Sequence[str], names: Sequence[str], recipe: Recipe) -> str:
    """What is said of a head that begins anew."""
    new, few = next((name for name in classes if name not in names), ""), ", ".join(names[:3])
    return (
        f"{recipe.begin} tells {len(names):,} classes apart ({few}{' …' * (len(names) > 3)}), and none is {new!r}: its "
        f"head begins anew, for the {len(classes):,} classes of the data"
    )


MODALITIES.register("pictures", Pictures())
