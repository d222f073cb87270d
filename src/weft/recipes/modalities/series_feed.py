"""A series as the data of a run: its processor, its rows, and what simpler answers make of what is held out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from weft.batch import IGNORED, KNOWN
from weft.data.order import places
from weft.data.signals import write_processor
from weft.data.signals.tables import TimeSeries
from weft.evaluate.forecasts import Autoregression, autoregression, line_between, squared_error, squared_errors
from weft.models.forecasting import Autoregressive, Forecaster
from weft.objectives.series import VECTORS
from weft.objectives.series import Told as Asked
from weft.recipes.feed import Told
from weft.recipes.modalities.signal_feed import SignalFeed
from weft.recipes.recipe import Recipe
from weft.training.watch import Watcher


@dataclass(frozen=True)
class SeriesFeed(SignalFeed):
    """Rows of a normalised series."""

    series: TimeSeries

    @property
    def digest(self) -> str:
        """See `TimeSeries`."""
        return self.series.digest

    @property
    def split(self) -> tuple[str, ...]:
        """That of all rows, whose places say which are held out."""
        return (self.digest,)

    def start(self, module: nn.Module) -> None:
        """A new model that has a linear autoregression beside it begins as the one that fits what it trains on."""
        if isinstance(module, Forecaster) and isinstance(module.beside, Autoregressive):
            found = autoregression(self._learned(), most=module.beside.lags)
            module.beside.begin(torch.from_numpy(found.weights), torch.from_numpy(found.bias))

    def write(self, out: Path) -> None:
        """The processor."""
        write_processor(out, self.series.processor)

    def told(self, recipe: Recipe, out: Path, watch: Watcher, *, finished: bool) -> Told:
        """What simpler answers make of the same held-out vectors."""
        objective = recipe.minimised
        assert isinstance(objective, Asked)
        if not finished:
            return Told(loss="squared error")
        baselines = self._of_next(watch) if objective.ahead else self._of_hidden()
        return Told(
            baselines=baselines, loss="squared error", makes="ahead.csv --prompt table.csv" if objective.ahead else ""
        )

    def account(self) -> dict[str, Any]:
        """Rows of the table, and of the model."""
        series = self.series
        return {
            "columns": list(series.processor.columns),
            "rows": [series.split, len(series.values) - series.split],
            "samples": [len(self.train), len(self.held_out)],
            "digest": self.digest,
        }

    def _learned(self) -> np.ndarray:
        return self.series.values[: self.series.split].astype(np.float64)

    def _of_next(self, watch: Watcher) -> dict[str, float]:
        """The squared errors of a linear autoregression, and of the last vector. It is said where the former reads more
        rows than the model has before each row that it is asked for."""
        values, first, known = self.series.values.astype(np.float64), self.series.split, self.series.known
        linear: Autoregression = autoregression(self._learned())
        length, objective = self.recipe.model.config.context, self.recipe.minimised
        assert isinstance(objective, Asked)
        if linear.order > (behind := round(objective.past * length)):
            watch.notice(
                f"the {linear.title} rows reads more than this model has at times: in {length} rows the first that is "
                f"asked has {behind} before it; model.context={round(linear.order / objective.past)} gives it as many"
            )
        last = squared_error(values[first - 1 : -1], values[first:], None if known is None else known[first:])
        return {linear.title: linear.error(values, first, known), "the last value": last}

    def _of_hidden(self) -> dict[str, float]:
        """That of the line between what is seen, over the same hidden vectors."""
        errors = list[np.ndarray]()
        for number in range(len(self.held_out)):
            batch = self.held_out.batch(places(0, [number]))
            assert batch.labels is not None
            hidden, whole = (batch.labels != IGNORED).numpy(), batch.asked[VECTORS].numpy()
            known = batch.asked[KNOWN].numpy()[hidden] if KNOWN in batch.asked else None
            errors.append(squared_errors(line_between(batch.tokens.numpy(), hidden)[hidden], whole[hidden], known))
        return {"the line between neighbours": float(np.concatenate(errors).mean(dtype=np.float64))}
