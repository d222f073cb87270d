"""Pictures with texts, for two towers that hold one against the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from weft.data.captions import CaptionSettings, prepare_captions
from weft.data.signals import PROCESSOR, Patches
from weft.data.sources import Say, quiet
from weft.evaluate import check
from weft.hub import read_language
from weft.hub.folder import TOKENIZER
from weft.hub.preprocessor import reads_of
from weft.models import Blueprint
from weft.models.signals import Beside
from weft.recipes.folder import Existing
from weft.recipes.modalities.caption_feed import CaptionFeed, fitted
from weft.recipes.modalities.caption_predict import embed_captions, predict_captions
from weft.recipes.modality import FURTHER_STEPS, MODALITIES, Modality, Usual
from weft.recipes.predicted import Predicted
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

NEEDS = ("image", "patch", "channels")  # settings of a tower that pictures are read for


class WithCaptions(Modality):
    """Rows of ids, and rows of patches that belong to them."""

    settings = CaptionSettings
    made = "made_captions"
    called = "captions"
    keeps = (PROCESSOR, TOKENIZER)
    fixed = ("tokenizer", "vocab")

    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> CaptionFeed:
        """See `prepare_captions`."""
        where = recipe.begin if found is None else out
        known = None if where is None else reads_of(where)
        language = None if where is None else read_language(where) if found is None else found.language
        config, processor = recipe.model.config.image.config, None if known is None else known.processor
        if processor is not None and not isinstance(processor, Patches):
            raise ValueError(f"{where} says in {PROCESSOR} how sounds or series are read, and captions are of pictures")
        captions = prepare_captions(
            recipe.data,
            Patches(config.image, config.patch, config.channels),
            recipe.model.config.context,
            processor=processor,
            tokenizer=None if language is None else language.tokenizer,
            say=say,
        )
        check(captions.held_out, recipe.minimised)
        model = fitted(recipe.model, captions.tokenizer, begun=recipe.begin is not None)
        return CaptionFeed(recipe, model, captions.train, captions.held_out, (), captions)

    def usual(self, model: Blueprint) -> Usual:
        """Of a new model."""
        return Usual(CaptionSettings(), TrainSettings(steps=1000, batch=64), self.debug)

    def further(self, model: Blueprint, folder: Path, was: Any | None) -> Usual:
        """As its run read them; other data have other columns."""
        usual = super().further(model, folder, was)
        return Usual(usual.data, usual.train, (*FURTHER_STEPS, *self.plain))

    @property
    def plain(self) -> tuple[tuple[str, str], ...]:
        """What --debug changes of the data of a recipe whose columns are its own."""
        return (
            ("data.source", self.made), ("data.text_column", "text"), ("data.templates", ""), ("data.asked", ""),
            ("data.class_column", ""), ("data.prompts", ""), ("data.pictures", ""),
        )  # fmt: skip

    def check(self, recipe: Recipe) -> None:
        """ValueError for a model that has no towers, or none of pictures."""
        config = recipe.model.config
        if not isinstance(config, Beside):
            raise ValueError(
                f"{recipe.model.family} is no pair of a text's tower and a picture's: choose another family "
                "(`weft list`), or other data"
            )
        known = {field.name for field in fields(config.image.config)}
        if lacks := [field for field in NEEDS if field not in known]:
            raise ValueError(
                f"{config.image.family} has no {' and no '.join(lacks)}, and pictures need them: choose another family "
                "as model.image"
            )

    def predict(
        self, folder: Path, data: Path, out: Path | None, *, labelled: bool, device: str = "auto", say: Say = quiet
    ) -> Predicted:
        """The nearest captions and the likeliest class of each picture."""
        return predict_captions(folder, data, out, labelled=labelled, device=device, say=say)

    def among(
        self, folder: Path, data: Path, out: Path, choices: Path, *, device: str = "auto", say: Say = quiet
    ) -> Predicted:
        """The nearest lines of a file."""
        return predict_captions(folder, data, out, labelled=False, choices=choices, device=device, say=say)

    def embed(self, folder: Path, data: Path, *, device: str = "auto", say: Say = quiet) -> tuple[Sequence[str], Any]:
        """Of pictures, or of the lines of a .txt."""
        return embed_captions(folder, data, device=device, say=say)


MODALITIES.register("captions", WithCaptions())
