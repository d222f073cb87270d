"""A model as a folder: config.json, weights, tokenizer. weft's own layout and the published one; strict in both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from weft.batch import Tokenizer
from weft.data import load_tokenizer, tokenizer_files
from weft.files import DamagedFile, read_json, write_json
from weft.hub import published
from weft.hub.error import LoadError
from weft.hub.fill import Device, Incoming, fill
from weft.hub.published import Origin, Plan
from weft.hub.weights import PICKLED, WEIGHTS, Weights, open_weights, unlike, unpickling
from weft.hub.write import write_weights
from weft.models import Blueprint

CONFIG, TOKENIZER, OWN = "config.json", "tokenizer.json", "weft"


def own_config(blueprint: Blueprint) -> dict[str, Any]:
    """config.json in weft's own layout: the model's description, its parts as data."""
    return {"model_type": OWN} | blueprint.to_data()


def write_config(blueprint: Blueprint, folder: Path) -> None:
    """Write config.json in weft's own layout."""
    write_json(folder / CONFIG, own_config(blueprint))


def write_model(tensors: Mapping[str, Tensor], blueprint: Blueprint, tokenizer: Tokenizer | None, folder: Path) -> None:
    """A folder in weft's own layout; each file replaced whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_config(blueprint, folder)
    if tokenizer is not None:
        tokenizer.save(folder)
    write_weights(folder, tensors)


def read_config(folder: Path) -> dict[str, Any]:
    """config.json. LoadError where there is none."""
    path = folder / CONFIG
    if folder.is_file():
        hint = unpickling(folder) if folder.suffix in PICKLED else unlike(folder.parent)
        raise LoadError(f"{folder} is a file: {hint or f'weft loads a folder with {CONFIG} and {WEIGHTS}'}")
    if not folder.is_dir():
        raise LoadError(f"{folder} is not a folder: name the folder that training, saving or a download wrote")
    if not path.is_file():
        raise LoadError(f"{path} is missing: {unlike(folder) or f'{folder} is no model folder'}")
    try:
        data = read_json(path)
    except DamagedFile as error:
        raise LoadError(str(error)) from error
    if not isinstance(data, dict):
        raise LoadError(f"{path} holds a {type(data).__name__}, not a model's description")
    return data


def read_blueprint(folder: Path) -> Blueprint:
    """The model's description. LoadError where there is none, or it describes nothing weft can build."""
    data = read_config(folder)
    if data.get("model_type") == OWN:
        return _own(data, folder / CONFIG)
    return read_plan(folder, open_weights)[0].blueprint


def read_plan(folder: Path, opened: Callable[[Path], Weights]) -> tuple[Plan, Weights]:
    """What a folder's config and the names of its tensors say together; its weights are `opened` once the config is
    understood."""
    data, path = read_config(folder), folder / CONFIG
    if data.get("model_type") == OWN:
        blueprint, weights = _own(data, path), opened(folder)
        return Plan(blueprint, {name: name for name in weights}), weights
    fields, described = published.describe(data, path)
    weights = opened(folder)
    return published.understand(fields, described, weights, path), weights


def _own(data: dict[str, Any], path: Path) -> Blueprint:
    """The blueprint in a config of weft's own layout."""
    try:
        return Blueprint.from_data({name: value for name, value in data.items() if name != "model_type"})
    except (ValueError, TypeError) as error:  # TypeError: a list where a name belongs, say
        raise LoadError(f"{path}: {error}") from error


def read_module(
    plan: Plan, weights: Weights, path: Path, *, dtype: torch.dtype = torch.float32, device: Device = None
) -> tuple[nn.Module, Origin, tuple[str, ...]]:
    """The module of a plan, filled, in evaluation mode; where it came from, but for the folder's other files; notices.

    LoadError for tensors that do not fit; `path` is the config's.
    """
    module, incoming = matched(plan, weights, path)
    notices = fill(module, incoming, dtype=dtype, device=device)
    return module.eval(), Origin(plan.config, incoming.dtypes, plan.dead, plan.head), plan.notices + notices


def matched(plan: Plan, weights: Weights, path: Path) -> tuple[nn.Module, Incoming]:
    """The module of a plan, empty, and its tensors. LoadError where names do not fit; `path` is the config's."""
    try:
        module = plan.blueprint.empty()
    except ValueError as error:
        raise LoadError(f"{path}: {published.in_their_words(plan, str(error))}") from error
    ours = module.state_dict()
    return module, Incoming(ours, weights, plan.moves(ours), plan.names, plan.blueprint.family)


def read_tokenizer(folder: Path) -> Tokenizer | None:
    """The folder's tokenizer; None where it has none. LoadError where it is damaged, or of a kind that is not there."""
    path = folder
    try:
        path = next(iter(tokenizer_files(folder)), None)
        return None if path is None else load_tokenizer(folder)
    except DamagedFile as error:
        raise LoadError(str(error)) from error
    except ValueError as error:
        raise LoadError(f"{path}: {error}") from error
