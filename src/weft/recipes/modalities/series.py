"""Series: tables of numbers, a row a moment, of which the last are held out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from weft.batch import Unfit
from weft.data.signals import PROCESSOR
from weft.data.signals.series import Series as Normalised
from weft.data.signals.tables import SeriesSettings, prepare_series
from weft.data.sources import Say, quiet
from weft.evaluate import check
from weft.files import DamagedFile
from weft.hub.preprocessor import reads_of
from weft.models import Blueprint
from weft.nn import Encoder
from weft.objectives.series import Told
from weft.recipes.folder import Existing
from weft.recipes.modalities.series_feed import SeriesFeed
from weft.recipes.modalities.series_write import predict_series, roll
from weft.recipes.modality import MODALITIES, Drawn, Modality, Usual
from weft.recipes.predicted import Predicted
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings


class Series(Modality):
    """Rows of a table's columns."""

    settings = SeriesSettings
    made = "made_series"
    called = "series"
    hears = ("prompts", "tokens")

    @property
    def examples(self) -> str:
        """Rows of a table, each told from those before it."""
        return "rows"

    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> SeriesFeed:
        """See `prepare_series`; the model takes as many channels as there are columns."""
        where, objective = recipe.begin if found is None else out, recipe.minimised
        assert isinstance(objective, Told)
        series = prepare_series(recipe.data, None if where is None else processor_of(where), say)
        for text in series.notices:
            say(text)
        length, ahead, past = recipe.model.config.context, objective.ahead, objective.past
        times = 1 if objective.ahead else round(1 / objective.predicted)  # so that each is hidden about once
        train = objective.turn_signals(series.learned(length, ahead=ahead, past=past), recipe.train.seed)
        held_out = objective.turn_signals(series.held_out(length, ahead=ahead, past=past, times=times), 0)
        check(held_out, objective)
        return SeriesFeed(recipe, fitted(recipe, series.processor), train, held_out, series.notices, series)

    def usual(self, model: Blueprint) -> Usual:
        """Of a new model."""
        return Usual(SeriesSettings(), TrainSettings(steps=1000, batch=32, rate=1e-3), self.debug)

    def further(self, model: Blueprint, folder: Path, was: SeriesSettings | None) -> Usual:
        """Of the model in a folder: the same columns, of other rows."""
        usual = super().further(model, folder, was)
        columns = processor_of(folder).columns
        return replace(usual, data=replace(usual.data, columns=columns))

    def check(self, recipe: Recipe) -> None:
        """ValueError for a model, or an objective, of other things than vectors of numbers."""
        module = recipe.model.empty()
        if not isinstance(module, Encoder) or not module.embed.channels:
            raise ValueError(
                f"{recipe.model.family} reads no vectors, and a series' rows are some: choose another family "
                "(`weft list`)"
            )
        if not isinstance(recipe.minimised, Told):
            raise ValueError(
                f"{recipe.minimised.title} asks nothing of series: choose next_vector or masked_vectors (--objective)"
            )

    def predict(
        self, folder: Path, data: Path, out: Path | None, *, labelled: bool, device: str = "auto", say: Say = quiet
    ) -> Predicted:
        """What follows each row."""
        return predict_series(folder, data, out, labelled=labelled, device=device, say=say)

    def written(self, asked: Drawn, out: Path) -> tuple[Path, ...]:
        """One table."""
        if out.suffix.lower() != ".csv":
            raise ValueError(f"{out}: what follows a series is written as .csv; name the file so")
        return (out,)

    def read(self, asked: Drawn) -> tuple[Path, ...]:
        """The table that is gone on from."""
        return tuple(map(Path, asked.prompts))

    def generate(self, folder: Path, asked: Drawn, out: Path, *, device: str = "auto", say: Say = quiet) -> str:
        """The rows that follow a table's last."""
        self.heard(asked)
        self.written(asked, out)
        return roll(folder, asked, out, device=device, say=say)


def processor_of(folder: Path) -> Normalised:
    """What makes rows for the model in a folder. ValueError where nothing says it, or it is of other signals."""
    known = reads_of(folder)
    if known is None:
        raise DamagedFile(f"{folder} has no {PROCESSOR}, so its weights say nothing of any series")
    if not isinstance(known.processor, Normalised):
        raise ValueError(f"{folder} reads no series: name a model that was trained on one")
    return known.processor


def fitted(recipe: Recipe, processor: Normalised) -> Blueprint:
    """The model with as many channels as there are columns. Unfit where it is a saved one with others."""
    channels, count = recipe.model.config.channels, len(processor.columns)
    if recipe.begin is not None and channels != count:
        raise Unfit(f"the data have {count} columns, and {recipe.begin} reads {channels}: choose as many")
    return replace(recipe.model, config=replace(recipe.model.config, channels=count))


MODALITIES.register("series", Series())
