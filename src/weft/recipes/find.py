"""What `weft train NAME` names: a recipe, a family, a saved model to go on from, or a recipe of one's own in a file."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
import traceback
from pathlib import Path

from weft.hub import read_blueprint
from weft.models import FAMILIES, Blueprint
from weft.recipes.builtin import SHIPPED
from weft.recipes.folder import data_settings, trained_with
from weft.recipes.modality import of_family as trained_on
from weft.recipes.modality import of_folder
from weft.recipes.recipe import RECIPES, Recipe
from weft.registry import UnknownName, suggest


def find(name: str) -> Recipe:
    """The recipe that `name` means: a registered one; a family's own; a model's folder; a file that holds `recipe`."""
    if name in RECIPES.names():
        return RECIPES.get(name)
    if name in FAMILIES.names():
        return of_family(name)
    path = Path(name)
    if path.suffix == ".py":
        return of_file(path)
    if path.is_dir():
        return of_model(path)
    known = RECIPES.names() + FAMILIES.names()
    raise UnknownName(f"no recipe, no family and no model's folder is called {name!r}; {suggest(name, known)}")


def of_family(name: str) -> Recipe:
    """A family's small size on whatever data it is given."""
    family = FAMILIES.get(name)
    model = Blueprint.of(name, "small" if "small" in family.sizes else None)
    usual = trained_on(name).usual(model)
    return Recipe(
        name=name,
        model=model,
        data=usual.data,
        train=usual.train,
        debug=usual.debug,
        story=f"The family {name}: {family.summary}.",
    )


def of_model(folder: Path) -> Recipe:
    """Going on from a saved model: its weights, and its tokenizer or processor, on other data, at a low rate."""
    model, modality = read_blueprint(folder), of_folder(folder)
    usual = modality.further(model, folder, data_settings(folder))
    return Recipe(
        name=folder.resolve().name,
        model=model,
        data=usual.data,
        train=usual.train,
        debug=usual.debug,
        story=f"The model in {folder}, trained further.",
        begin=folder,
        objective=trained_with(folder),
    )


def of_file(path: Path) -> Recipe:
    """The `recipe` that a Python file defines. The file is run; ValueError where it is not there, fails or defines
    none."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}; `weft cp python_stdlib {path}` writes one to begin with")
    spec = importlib.util.spec_from_file_location(f"weft_recipe_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses that it defines look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a person's file may raise
        del sys.modules[spec.name]
        raise ValueError(f"{_place(path, error)}: {_said(error)}") from error
    found = vars(module).get("recipe")
    if not isinstance(found, Recipe):
        raise ValueError(f"{path} defines no `recipe`: it needs `recipe = Recipe(name=…, model=…, data=…, train=…)`")
    return found


def _place(path: Path, error: Exception) -> str:
    """The line of a recipe's file where it failed."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}, line {lines[-1]}" if lines else str(path)


def _said(error: Exception) -> str:
    """What the failure says, with its kind where that is not weft's own way to say it."""
    if isinstance(error, SyntaxError):
        return f"{error.msg}; this is no Python"
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def copy(name: str, target: Path) -> None:
    """Write a shipped recipe's file to `target`, under the name of that file. ValueError where it is there already."""
    RECIPES.get(name)  # says what there is, where there is none of this name
    if target.suffix != ".py" or not target.stem.isidentifier():
        raise ValueError(f"{target}: a recipe is a Python file whose name is a word, mine.py say")
    if target.exists():
        raise ValueError(f"{target} is there already: name another file, or move it away")
    if name not in SHIPPED:
        raise ValueError(
            f"the recipe {name!r} has no file of its own (it is a plug-in's, or one of a table): copy another one, or "
            f"change it as it is run, by --set; `weft show {name}` lists its settings"
        )
    text = SHIPPED[name].read_text(encoding="utf-8")
    command = f"weft train {shlex.quote(str(target))}"
    text = re.sub(rf"\bweft train {name}\b", lambda _: command, text)  # as it is: a path may hold a backslash
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text.replace(f'name="{name}"', f'name="{target.stem}"'), encoding="utf-8")
