"""What a folder says of the model in it, without reading a weight."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.hub.folder import OWN, read_blueprint, read_config, read_plan, read_tokenizer
from weft.hub.weights import INDEX, WEIGHTS, open_weights
from weft.models import Blueprint
from weft.settings import to_data


@dataclass(frozen=True)
class About:
    """layout: "published" or weft's own; model_type, classes: as in config.json. dtypes: how many tensors have each;
    bytes: of all of them; nothing where there are no weights yet. tokenizer: its kind and how many ids it has, or
    "none"."""

    layout: str
    model_type: str
    classes: tuple[str, ...]
    dtypes: dict[str, int]
    bytes: int
    tokenizer: str

    def to_data(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return to_data(self)


def about(folder: Path) -> tuple[Blueprint, About]:
    """A folder's model and what its files say of it. LoadError where they are no model's."""
    data = read_config(folder)
    own = data.get("model_type") == OWN
    if own and not any((folder / name).is_file() for name in (WEIGHTS, INDEX)):  # a run that has not ended
        blueprint, weights = read_blueprint(folder), None
    else:
        plan, weights = read_plan(folder, open_weights)
        blueprint = plan.blueprint
    tokenizer = read_tokenizer(folder)
    return blueprint, About(
        layout=OWN if own else "published",
        model_type=str(data.get("model_type")),
        classes=tuple(data.get("architectures") or ()),
        dtypes={} if weights is None else weights.dtypes,
        bytes=0 if weights is None else weights.bytes,
        tokenizer="none" if tokenizer is None else f"{type(tokenizer).__name__}, {tokenizer.vocab:,} ids",
    )
