"""Episodes of acting in a world, step by step."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from weft.batch import Unfit
from weft.data.signals import EpisodeSettings, Steps, prepare_episodes
from weft.data.signals.episodes import ENDINGS
from weft.data.sources import Say, quiet
from weft.evaluate import check
from weft.hub.preprocessor import reads_of
from weft.models import FAMILIES, Blueprint
from weft.recipes.feed import Told
from weft.recipes.folder import Existing, data_settings
from weft.recipes.modalities.episode_feed import EpisodeFeed, told_of
from weft.recipes.modalities.episode_predict import predict_episodes
from weft.recipes.modality import MODALITIES, Modality, Usual
from weft.recipes.predicted import Predicted
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

NEEDS = ("state", "action", "actions", "context")  # settings of a model that episodes are read for


class Episodes(Modality):
    """Rows of steps, each a return to go, a state and an action; and a world in which the finished model acts."""

    settings = EpisodeSettings
    made = "made_episodes"
    called = "episodes"
    endings = ENDINGS
    fixed = ("window", "returns")

    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> EpisodeFeed:
        """See `prepare_episodes`."""
        where = recipe.begin if found is None else out
        known = None if where is None else reads_of(where)
        processor = None if known is None else known.processor
        assert processor is None or isinstance(processor, Steps), "a run of episodes keeps what reads them"
        control = prepare_episodes(recipe.data, recipe.model.config, processor, say)
        for text in control.notices:
            say(text)
        blueprint = fitted(recipe.model, control.processor, keeps=recipe.begin is not None)
        objective = recipe.minimised
        held_out = objective.turn_signals(control.held_out, 0)
        check(held_out, objective)
        train = objective.turn_signals(control.train, recipe.train.seed)
        return EpisodeFeed(recipe, blueprint, train, held_out, control.notices, control)

    def usual(self, model: Blueprint) -> Usual:
        """Short rows: which kernel is fastest on them needs no measuring."""
        return Usual(self.settings(), TrainSettings(steps=2000, batch=64, kernel="sdpa"), self.debug)

    def given(self, recipe: Recipe, own: Any, paths: tuple[str, ...]) -> Recipe:
        """Files in place of what is played."""
        return replace(recipe, data=replace(own, paths=paths, source="episodes"))

    def check(self, recipe: Recipe) -> None:
        """ValueError for a model that has no states and actions."""
        known = {field.name for field in fields(recipe.model.config)}
        if lacks := [field for field in NEEDS if field not in known]:
            raise ValueError(
                f"{recipe.model.family} has no {' and no '.join(lacks)}, and episodes need them: choose another family "
                "(`weft list`), or other data"
            )

    def predict(
        self, folder: Path, data: Path, out: Path | None, *, labelled: bool, device: str = "auto", say: Say = quiet
    ) -> Predicted:
        """The next action of each episode."""
        return predict_episodes(folder, data, out, labelled=labelled, device=device, say=say)

    def tell(self, folder: Path, seed: int, *, say: Say = quiet) -> Told:
        """What comes of the returns that are asked, in the world the model was trained for."""
        was = data_settings(folder)
        return told_of(folder, was if isinstance(was, EpisodeSettings) else EpisodeSettings(), seed, say=say)


def fitted(model: Blueprint, processor: Steps, *, keeps: bool) -> Blueprint:
    """The model with the sizes of its data. keeps: it has weights, which have theirs: Unfit for
    others. ValueError where somebody asked for others."""
    wanted = {
        "state": processor.state,
        "action": processor.action,
        "actions": "discrete" if processor.discrete else "continuous",
        "context": processor.steps,
    }
    declared = FAMILIES.get(model.family)
    usual = [Blueprint.of(model.family, size).config for size in (None, *declared.sizes)]
    for name, value in wanted.items():
        given = getattr(model.config, name)
        fits = given >= value if name == "context" else given == value
        if fits:
            continue
        if keeps:
            raise Unfit(
                f"the model's {name} is {given}, and of the episodes it is {value}: give it its own world's, or train "
                "a new model"
            )
        if given not in [getattr(config, name) for config in usual] and name != "actions":
            raise ValueError(f"model.{name}={given}, but of the episodes it is {value}: leave model.{name} out")
        model = model.change(name, str(value))
    return model


MODALITIES.register("episodes", Episodes())
