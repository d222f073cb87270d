"""Pictures with texts, for two towers that hold one against the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from weft.batch import Tokenizer
from weft.data import LibraryTokenizer
from weft.data.captions import CaptionSettings, prepare_captions
from weft.data.signals import PROCESSOR, Patches
from weft.data.sources import Say, quiet
from weft.evaluate import check
from weft.hub import as_ours, read_language
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
    parts = ("text", "image")
    keeps = (PROCESSOR, TOKENIZER)
    fixed = ("tokenizer", "vocab")

    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> CaptionFeed:
        """See `prepare_captions`."""
        whole = recipe.begin if found is None else out
        config, begun = recipe.model.config.image.config, "text" in recipe.parts
        fit = Patches(config.image, config.patch, config.channels)
        captions = prepare_captions(
            recipe.data,
            fit,
            recipe.model.config.context,
            processor=_processor(whole or recipe.parts.get("image"), fit),
            tokenizer=_tokenizer(recipe) if whole is None else read_language(whole).tokenizer,
            cut=not begun,
            say=say,
        )
        check(captions.held_out, recipe.minimised)
        model = fitted(recipe.model, captions.tokenizer, begun=begun or recipe.begin is not None)
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


def _processor(folder: Path | None, fit: Patches) -> Patches | None:
    """What makes rows of pictures, as a model's folder says it; None where none does. ValueError for a processor of
    other things, or of pictures of another size than the model reads."""
    known = None if folder is None else reads_of(folder)
    if known is None:
        return None
    processor = known.processor
    if not isinstance(processor, Patches):
        raise ValueError(f"{folder} says in {PROCESSOR} how sounds or series are read, and captions are of pictures")
    for name in NEEDS:
        if (made := getattr(processor, name)) != (read := getattr(fit, name)):
            raise ValueError(
                f"{folder}: what is made of a picture has {name}={made}, and the model reads {name}={read}: they are "
                f"not of one model; set model.image.{name}={made}, or mend the folder"
            )
    return processor


def _tokenizer(recipe: Recipe) -> Tokenizer | None:
    """That of the saved text tower, with what stood around a text when it was trained; None where there is none.
    ValueError where its folder has none, or one of another model."""
    folder = recipe.parts.get("text")
    if folder is None:
        return None
    tokenizer, part = read_language(folder).tokenizer, recipe.model.config.text
    if tokenizer is None:
        raise ValueError(
            f"--part text={folder}: it has no tokenizer.json, so its weights say nothing of any text: put the "
            "one there that it was trained with"
        )
    if tokenizer.vocab > part.config.vocab:
        raise ValueError(
            f"--part text={folder}: its tokenizer has {tokenizer.vocab} ids and its embedding {part.config.vocab}: "
            "they are not of one model; put the tokenizer there that it was trained with"
        )
    if isinstance(tokenizer, LibraryTokenizer) and tokenizer.template is None:
        return as_ours(part, tokenizer)
    return tokenizer


MODALITIES.register("captions", WithCaptions())
