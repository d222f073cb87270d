"""What a finished run leaves behind besides its weights: report.json, of which the page report.html is made."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from weft.generate import Sampling
from weft.hub import Model
from weft.models import FAMILIES, Blueprint
from weft.objectives import OBJECTIVES, objective_to_data
from weft.recipes.modality import MODALITIES
from weft.recipes.recipe import Recipe
from weft.settings import SettingError, to_data
from weft.training import optimisers
from weft.training.hardware import hardware
from weft.training.loop import Result
from weft.training.report.facts import flat
from weft.training.settings import TrainSettings


@dataclass(frozen=True)
class Sample:
    """What a model wrote after a prompt; `translates`: in place of it."""

    prompt: str
    text: str
    translates: bool = False


def write_samples(model: Model, prompts: tuple[str, ...], sampling: Sampling, *, tokens: int) -> tuple[Sample, ...]:
    """What the model goes on with, for each prompt that it can spell and that fits into its context; where there is
    none, for a document's beginning. A run that is done does not fail over its samples."""
    good = []
    for prompt in prompts:
        try:
            model.stream(prompt, sampling, tokens=1)  # checks them, and writes nothing until it is read
        except ValueError:
            continue
        good.append(prompt)
    good = good or ([""] if prompts else [])
    texts = [model.generate(prompt, sampling, tokens=tokens).text for prompt in good]
    return tuple(Sample(prompt, text, model.translates) for prompt, text in zip(good, texts, strict=True))


def account(
    recipe: Recipe, blueprint: Blueprint, data: Mapping[str, Any], result: Result, notices: Iterable[str]
) -> dict[str, Any]:
    """What there is to say of a run that its log and its settings do not say. data: what was read. notices: those that
    came before its first step, and its own."""
    return {
        "seconds": result.progress.seconds,
        "tokens": result.progress.tokens,
        "steps": result.progress.step,
        "of": result.steps,
        "interrupted": result.interrupted,
        "finished": datetime.now().astimezone().isoformat(" ", "seconds"),
        "parameters": count_parameters(blueprint),
        "changed": changed(blueprint, recipe.settings(blueprint)),
        "decisions": to_data(result.decisions),
        "data": dict(data),
        "hardware": hardware(),
        "notices": list(notices),
    }


def count_parameters(blueprint: Blueprint) -> int:
    """How many numbers a model is made of; a tied one counts once."""
    return optimisers.count_parameters(blueprint.empty().parameters())


def changed(blueprint: Blueprint, settings: Mapping[str, Any]) -> list[str]:
    """The settings, by dotted name, that are not at their default; all of the model's where its family has none."""
    modality = settings["data"]["modality"]
    usual_data = {"modality": modality} | to_data(MODALITIES.get(modality).settings())
    defaults: dict[str, Any] = {"data": usual_data, "train": to_data(TrainSettings())}
    with contextlib.suppress(SettingError):  # a family's config may have fields that must be given
        defaults["model"] = Blueprint.of(blueprint.family).to_data()
        family = FAMILIES.get(blueprint.family)
        own = OBJECTIVES.get(family.objective)(**family.terms(blueprint.config))
        defaults["objective"] = objective_to_data(own)
    usual = flat(defaults)
    return [name for name, value in flat(settings).items() if name not in usual or usual[name] != value]


def plain(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Samples as plain data."""
    return [asdict(sample) for sample in samples]
