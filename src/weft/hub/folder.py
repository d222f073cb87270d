"""A model as a folder: config.json, model.safetensors, tokenizer.json. Strict in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from weft.batch import Tokenizer
from weft.data import load_tokenizer
from weft.files import DamagedFile, read_json, read_tensors, write_json, write_tensors
from weft.models import Blueprint

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"


class LoadError(ValueError):
    """A folder that is not a model weft can vouch for; names the file, what is wrong with it and the way out."""


def write_config(blueprint: Blueprint, folder: Path) -> None:
    """config.json, the model's description."""
    write_json(folder / CONFIG, {"model_type": "weft"} | blueprint.to_data())


def write_model(
    tensors: Mapping[str, torch.Tensor], blueprint: Blueprint, tokenizer: Tokenizer | None, folder: Path
) -> None:
    """config.json, model.safetensors and, where there is one, tokenizer.json; each replaced whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_config(blueprint, folder)
    if tokenizer is not None:
        tokenizer.save(folder)
    write_tensors(folder / WEIGHTS, tensors)


def read_blueprint(folder: Path) -> Blueprint:
    """The model's description. LoadError where there is none, or it describes nothing weft can build."""
    path = folder / CONFIG
    if not folder.is_dir():
        raise LoadError(f"{folder} is not a folder: name the folder that training or saving wrote")
    if not path.is_file():
        raise LoadError(f"{path} is missing: {folder} is no model folder")
    try:
        data = read_json(path)
        if not isinstance(data, dict) or data.pop("model_type", None) != "weft":
            raise ValueError("model_type is not 'weft': this folder was written by another library")
        return Blueprint.from_data(data)
    except DamagedFile as error:
        raise LoadError(str(error)) from error
    except (ValueError, TypeError) as error:  # TypeError: a list where a name belongs, say
        raise LoadError(f"{path}: {error}") from error


def read_module(blueprint: Blueprint, weights: Path) -> nn.Module:
    """The module with the tensors of a file: every name and shape must match, and every parameter is filled."""
    try:
        module = blueprint.empty()
    except ValueError as error:
        raise LoadError(f"{weights.parent / CONFIG}: {error}") from error
    try:
        tensors = read_tensors(weights)
    except FileNotFoundError as error:
        raise LoadError(f"{weights} is missing: there are no weights in this folder") from error
    except DamagedFile as error:
        raise LoadError(str(error)) from error
    wanted = module.state_dict()
    _match(wanted, tensors, weights)
    module.load_state_dict({name: tensors[name].clone() for name in wanted}, strict=True, assign=True)
    bare = [name for name, tensor in (*module.named_parameters(), *module.named_buffers()) if tensor.is_meta]
    assert not bare, f"never filled: {bare}"
    return module.eval()


def _match(wanted: dict[str, torch.Tensor], given: dict[str, torch.Tensor], path: Path) -> None:
    """LoadError unless both have the same names, and under each the same shape."""
    missing, unexpected = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    if missing or unexpected:
        parts = [f"lacks {_some(missing)}"] if missing else []
        parts += [f"has {_some(unexpected)}, which the model does not"] if unexpected else []
        raise LoadError(f"{path} {' and '.join(parts)}: config.json and the weights are not of one model")
    for name, tensor in wanted.items():
        if given[name].shape != tensor.shape:
            raise LoadError(
                f"{path}: tensor {name} is {list(given[name].shape)}, config.json makes it {list(tensor.shape)}"
            )


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def read_tokenizer(folder: Path) -> Tokenizer | None:
    """The folder's tokenizer; None where it has none. LoadError where it is damaged, or of a kind that is not there."""
    path = folder / TOKENIZER
    if not path.is_file():
        return None
    try:
        return load_tokenizer(folder)
    except DamagedFile as error:
        raise LoadError(str(error)) from error
    except ValueError as error:
        raise LoadError(f"{path}: {error}") from error
