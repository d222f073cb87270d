"""Saved models in the place of a new model's parts: `weft train emoji_clip --part text=DIR`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from weft.hub import find, read_blueprint, read_language, read_weights
from weft.hub.sentences import read_pooling
from weft.models import FAMILIES, Blueprint
from weft.recipes.modality import modality_of
from weft.registry import suggest
from weft.settings import SettingError

if TYPE_CHECKING:
    from weft.recipes.recipe import Recipe

POOLINGS: Mapping[tuple[str, ...], str] = {("mean",): "mean", ("cls",): "first"}  # a folder's words: two towers'
LEFT_OUT = ("heads.", "pooler.")  # of a part's weights: nobody asks for what they make


def with_part(recipe: Recipe, said: str) -> Recipe:
    """The recipe with a saved model as one of its model's parts: PLACE=DIR, where PLACE is a field of the config
    that holds a model. The folder's own tasks are left out. ValueError (also LoadError) for what cannot be one."""
    place, equals, name = said.partition("=")
    if not equals:
        raise ValueError(f"--part {said}: write it as PLACE=DIR, for instance --part text=models/minilm")
    _check_place(recipe, place, said)
    folder, was = find(name), getattr(recipe.model.config, place)
    part = _without_tasks(read_blueprint(folder))
    reads, wanted = (FAMILIES.get(model.family).reads for model in (part, was))
    if reads != wanted:
        raise ValueError(
            f"--part {said}: {part.family} reads {reads}, and {recipe.model.family}'s {place} reads {wanted}: name a "
            "model of these"
        )
    changes: dict[str, Any] = {place: part}
    if place == "text" and "pooling" in {field.name for field in fields(recipe.model.config)}:
        changes |= _pooling(folder)
    model = replace(recipe.model, config=replace(recipe.model.config, **changes))
    return replace(recipe, model=model, parts={**recipe.parts, place: folder})  # what else is set may make them fit


def _check_place(recipe: Recipe, place: str, said: str) -> None:
    """ValueError where a recipe's model has no such part, or begins with a saved model there already."""
    model = recipe.model
    there = [field.name for field in fields(model.config) if isinstance(getattr(model.config, field.name), Blueprint)]
    if place not in there:
        known = suggest(place, there) if there else "it is made of no other models"
        raise ValueError(f"--part {said}: {model.family} has no part {place!r}; {known}")
    modality = modality_of(recipe.data)
    if place not in modality.parts:
        raise ValueError(
            f"--part {said}: models of {modality.called} begin with no saved part, those of two towers do: leave it "
            "out, or name another recipe"
        )
    if recipe.begin is not None:
        raise ValueError(f"--part {said}: all parts go on from {recipe.begin}: leave it out, or name a recipe")
    if place in recipe.parts:
        raise ValueError(f"--part {said}: {place} begins with {recipe.parts[place]} already: name one of them")


def _without_tasks(part: Blueprint) -> Blueprint:
    """The same model without the heads of its own, where its family has any to leave out."""
    known = {field.name for field in fields(part.config)}
    return replace(part, config=replace(part.config, tasks=())) if "tasks" in known else part


def _pooling(folder: Path) -> dict[str, str]:
    """How the folder makes a vector of a text, where it says so. ValueError for what two towers do not do."""
    declared = read_pooling(read_language(folder).files)
    if declared is None:
        return {}
    if declared.modes not in POOLINGS:
        raise ValueError(
            f"{folder} makes a text's vector by {' and '.join(declared.modes)}, and a tower by "
            f"{' or '.join(mode for modes in POOLINGS for mode in modes)}: choose another folder, or take its "
            "modules.json away"
        )
    if declared.prompt:
        raise ValueError(
            f"{folder} puts {declared.prompt!r} before each text, and captions are read as they are: choose another "
            "folder, or take default_prompt_name out of its config_sentence_transformers.json"
        )
    return {"pooling": POOLINGS[declared.modes]}


def check_kept(parts: Mapping[str, Path], before: Blueprint, after: Blueprint, said: str) -> None:
    """SettingError where a setting of a part contradicts the saved model that it begins with: any but what is dropped
    out, which no weight knows."""
    for place, folder in parts.items():
        was, now = (_flat(getattr(model.config, place)) for model in (before, after))
        for name in sorted(was.keys() | now.keys()):
            if was.get(name) != now.get(name) and not name.endswith("dropout"):
                raise SettingError(
                    f"{said}: {place} begins with {folder}, whose {name} is {was.get(name)} and not {now.get(name)}: "
                    f"leave it out, or --part {place}"
                )


def _flat(part: Blueprint) -> dict[str, Any]:
    """Its family, settings and swapped parts by their names, as plain data."""
    data = part.to_data()
    return {"family": data["family"]} | data["config"] | data["parts"]


def graft(module: nn.Module, parts: Mapping[str, Path]) -> None:
    """Give parts of a new module the weights of saved models, strictly. LoadError names what does not fit a folder."""
    for place, folder in parts.items():
        own, saved = module.get_submodule(place), read_weights(folder, read_blueprint(folder)).state_dict()
        wanted = own.state_dict()
        odd = [name for name in saved if name not in wanted and not name.startswith(LEFT_OUT)]
        assert not odd and wanted.keys() <= saved.keys(), f"{folder} is not what {place} was built as: {odd}"
        own.load_state_dict({name: saved[name] for name in wanted})
