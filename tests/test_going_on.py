"""What a run that begins with a saved model takes from it: settings that the model decided are refused by name."""

from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from weft.hub import Language, Stops
from weft.models import Blueprint
from weft.recipes.folder import Existing, check_same
from weft.recipes.modality import MODALITIES
from weft.recipes.recipe import Recipe
from weft.settings import SettingError
from weft.training.settings import TrainSettings

FIXED = [(name, field) for name, modality in MODALITIES.all().items() for field in modality.fixed]


def other(kind: Any, value: Any) -> str:
    """A setting's text that means another value."""
    if get_args(kind):  # one of some words
        return next(str(word) for word in get_args(kind) if word != value)
    return {bool: str(not value).lower(), str: "runs/other"}.get(kind, str(value + 1) if kind is not str else "")


@pytest.mark.parametrize(("modality", "field"), FIXED)
def test_what_the_model_decided_is_not_unheard(modality: str, field: str) -> None:
    kind = MODALITIES.get(modality).settings
    value = getattr(kind(), field)
    text = other(get_type_hints(kind)[field], value)
    saved = Recipe("further", Blueprint.of("gpt2", "debug"), kind(), TrainSettings(steps=1), begin=Path("runs/saved"))
    with pytest.raises(SettingError, match=f"data.{field}={text}: runs/saved keeps the .* leave it out"):
        saved.change(f"data.{field}", text)
    assert saved.change(f"data.{field}", str(value).lower() if kind is bool else str(value)).data == kind()
    new = Recipe("new", Blueprint.of("gpt2", "debug"), kind(), TrainSettings(steps=1))
    assert getattr(new.change(f"data.{field}", text).data, field) != value


@pytest.mark.parametrize(("modality", "field"), FIXED)
def test_a_resumed_run_does_not_overhear_it(modality: str, field: str) -> None:
    kind, blueprint = MODALITIES.get(modality).settings, Blueprint.of("gpt2", "debug")
    recipe = Recipe("run", blueprint, kind(), TrainSettings(steps=1))
    text = other(get_type_hints(kind)[field], getattr(kind(), field))
    found = Existing(Language(None, Stops(), {}, {}), blueprint, recipe.settings(blueprint), "digest")
    kept = MODALITIES.get(modality).fixed
    check_same(Path("runs/mine"), found, recipe.settings(blueprint), "digest", kept)
    with pytest.raises(ValueError, match=f"data.{field} was .* when runs/mine was started"):
        changed = recipe.change(f"data.{field}", text).settings(blueprint)
        check_same(Path("runs/mine"), found, changed, "digest", kept)
