"""How many spots the sun has in the year that follows: a small Transformer of numbers beside a linear autoregression.

    weft train sunspots --out runs/sun            # 309 years, which statsmodels brings: pip install 'weft[series]'
    weft train sunspots --objective masked_vectors --set train.steps=600 --set train.rate=2e-3 --out runs/hidden
    weft train sunspots --set data.paths=co2 --set data.columns=co2 --set data.missing=last \
      --set model.context=64 --set model.reads=rises --out runs/co2   # weeks of a level that keeps rising

Cost: a minute on two cores. The last tenth of the years is held out. The model begins as the linear autoregression that
fits the others best, and learns what that leaves: of so few years little, so that it is small, with dropout, and
trained for 100 steps; these settings were chosen by the last years of those that are trained on.
"""

from weft.data.signals.tables import SeriesSettings
from weft.models import Blueprint
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="sunspots",
    model=Blueprint.of(
        "series", "small", context=48, width=32, depth=2, heads=4, hidden=64, dropout=0.2, lags=32,
    ),
    data=SeriesSettings(source="statsmodels", paths=("sunspots",)),
    train=TrainSettings(
        steps=100,
        batch=32,
        rate=3e-4,
        schedule="linear",
        floor=0.0,
        weight_decay=0.1,
        checkpoint_every=0,
        evaluate_every=25,
        log_every=5,
    ),
    debug=(*DEBUG_STEPS, ("model.lags", "4"), ("data.source", "made_series"), ("data.columns", "")),
    story=__doc__ or "",
)  # fmt: skip
