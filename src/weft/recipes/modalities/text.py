"""Text, and pairs of texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from weft.data import COLUMN, PAIR_SOURCES, DataSettings
from weft.data.sources import Say
from weft.hub.folder import TOKENIZER
from weft.models import Blueprint
from weft.nn import EncoderDecoder
from weft.recipes.folder import Existing, trained_with
from weft.recipes.modalities.text_feed import TextFeed, open_text
from weft.recipes.modality import DEBUG_STEPS, FURTHER_STEPS, MODALITIES, Changes, Modality, Usual
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings


class Text(Modality):
    """Rows of a tokenizer's ids."""

    settings = DataSettings
    made = "made"
    called = "text"
    keeps = (TOKENIZER,)
    fixed = ("tokenizer", "vocab")

    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> TextFeed:
        """See `open_text`."""
        return open_text(recipe, found, out, say)

    def usual(self, model: Blueprint) -> Usual:
        """Pairs, where the model writes of a source."""
        pairs = reads_pairs(model)
        return Usual(
            DataSettings(source="pairs" if pairs else "text"),
            TrainSettings(steps=1000, batch=32 if pairs else 16),
            (*DEBUG_STEPS, ("data.vocab", "384"), *made(pairs=pairs)),
        )

    def further(self, model: Blueprint, folder: Path, was: Any | None) -> Usual:
        """Where its run is known, data become rows and are split as its own were, so that nothing it was trained on is
        held out now; what says how its own paths were read (weights, directions, columns, prefixes) went with them."""
        objective = trained_with(folder)
        pairs = reads_pairs(model) if objective is None else objective.pairs
        usual = DataSettings()
        data = replace(
            was or usual,
            source="pairs" if pairs else "text",
            paths=usual.paths,
            weights=usual.weights,
            directions=usual.directions,
            columns=usual.columns,
            prefixes=usual.prefixes,
            store=usual.store,
        )
        return Usual(
            data,
            TrainSettings(steps=200, batch=32 if pairs else 16, rate=1e-4),
            (*FURTHER_STEPS, *made(pairs=pairs), ("data.column", COLUMN)),
        )

    def given(self, recipe: Recipe, own: DataSettings, paths: tuple[str, ...]) -> Recipe:
        """Read as the recipe reads its own; its prompts go where its text does."""
        source = "pairs" if recipe.texts.source in PAIR_SOURCES.names() else "text"
        read = replace(
            recipe.texts,
            source=source,
            paths=paths,
            column=own.column,
            directions=own.directions,
            columns=own.columns,
            prefixes=own.prefixes,
        )
        return replace(recipe, data=read, prompts=recipe.prompts if source == own.source else ())

    def check(self, recipe: Recipe) -> None:
        """ValueError for rows of several documents where the model would mix them."""
        if recipe.texts.rows != "stream" and (mixes := recipe.model.mixes):
            raise ValueError(f"{mixes} cannot pack several documents into a row: set data.rows=stream")


def reads_pairs(model: Blueprint) -> bool:
    """Whether a model is trained on pairs. ValueError for sizes that cannot be a model."""
    return isinstance(model.empty(), EncoderDecoder)


def made(*, pairs: bool) -> Changes:
    """The source that needs no file."""
    return (("data.source", "made_pairs" if pairs else "made"),)


MODALITIES.register("text", Text())
