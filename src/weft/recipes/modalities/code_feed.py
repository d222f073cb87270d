"""Rows of codes as the data of a run: the model that makes them is kept beside the one that is trained on them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weft.data.progress import counted
from weft.data.signals import Patches, SignalSettings, prepare_signals, write_processor
from weft.data.signals.codes import MADE, CodeRows, CodeSettings
from weft.data.sources import Say
from weft.evaluate import check
from weft.hub import load, write_model
from weft.hub.fill import Device
from weft.models import Blueprint
from weft.models.coding import Coder
from weft.recipes.feed import Told
from weft.recipes.folder import QUANTISER, Existing
from weft.recipes.modalities.known_classes import check_classes, known_classes
from weft.recipes.modalities.signal_feed import SignalFeed
from weft.recipes.recipe import Recipe
from weft.training.watch import Watcher

ROWS = 256  # pictures of a pass
UNTRAINED = Blueprint.of("vqgan", "debug")


@dataclass(frozen=True, eq=False)
class Quantiser:
    """A model that makes codes of pictures, and what makes rows of them; None: what fits the pictures there are."""

    module: Coder
    blueprint: Blueprint
    processor: Patches | None

    @property
    def digest(self) -> str:
        """Of its weights."""
        found = hashlib.sha256()
        for name, tensor in self.module.state_dict().items():
            found.update(name.encode())
            found.update(tensor.contiguous().cpu().numpy().data)
        return found.hexdigest()

    def write(self, folder: Path, processor: Patches) -> None:
        """The same as a folder of its own."""
        write_model(dict(self.module.state_dict()), self.blueprint, None, folder)
        write_processor(folder, processor)


def open_quantiser(name: str, device: Device = None) -> Quantiser:
    """What a folder holds; "made": one that nobody trained. ValueError for a model that makes no codes of pictures."""
    if name == MADE:
        module = UNTRAINED.build(seed=0)
        assert isinstance(module, Coder)
        return Quantiser(module, UNTRAINED, None)
    model = load(name, device=device)
    if not isinstance(model.module, Coder) or model.reads is None or not isinstance(model.reads.processor, Patches):
        raise ValueError(f"{name} makes no codes of pictures: name the folder of a run of autoencode (data.quantiser)")
    return Quantiser(model.module, model.blueprint, model.reads.processor)


@torch.no_grad()
def coded(quantiser: Quantiser, processor: Patches, signals: np.ndarray, say: Say) -> np.ndarray:
    """Pictures uint8 [N, image, image, channels] -> codes int64 [N, P]."""
    parts, advance = list[Tensor](), counted(say, "coded", len(signals))
    for start in range(0, len(signals), ROWS):
        rows = torch.from_numpy(processor.rows(signals[start : start + ROWS]))
        parts.append(quantiser.module.encode(rows))
        advance(len(rows))
    return torch.cat(parts).numpy()


@dataclass(frozen=True)
class CodeFeed(SignalFeed):
    """Rows of codes, each behind its class."""

    quantiser: Quantiser
    processor: Patches
    classes: tuple[str, ...]
    digest_of_rows: str

    @property
    def digest(self) -> str:
        """Of the pictures, and of what makes codes of them."""
        return self.digest_of_rows

    def write(self, out: Path) -> None:
        """What makes rows of pictures, the names of the classes, and the model that makes codes of rows."""
        write_processor(out, self.processor, self.classes)
        self.quantiser.write(out / QUANTISER, self.processor)

    def told(self, recipe: Recipe, out: Path, watch: Watcher, *, finished: bool) -> Told:
        """What it makes."""
        return Told(loss="nats a code", makes="pictures.png")

    def account(self) -> dict[str, Any]:
        """Samples, classes, codes."""
        return {
            "samples": [len(self.train), len(self.held_out)],
            "classes": len(self.classes),
            "codes": self.quantiser.module.codes,
            "digest": self.digest,
        }


def open_codes(recipe: Recipe, found: Existing | None, out: Path, say: Say) -> CodeFeed:
    """The pictures, and codes of them. found: the run that goes on, whose own quantiser stays, as does that of a
    model that is begun with."""
    settings = recipe.data
    assert isinstance(settings, CodeSettings)
    settings.check()
    where = recipe.begin if found is None else out
    quantiser = open_quantiser(settings.quantiser if where is None else str(where / QUANTISER))
    pictures = SignalSettings(settings.source, settings.paths, settings.held_out, settings.seed)
    names = () if where is None else known_classes(where)
    signals = prepare_signals(pictures, quantiser.blueprint.config, quantiser.processor, say, names=names)
    check_classes(signals.classes, names, where)
    processor, count = signals.processor, quantiser.module.codes
    assert isinstance(processor, Patches)
    seen, labels = signals.train.signals, signals.train.labels
    if settings.mirrored:
        seen, labels = np.concatenate((seen, seen[:, :, ::-1])), np.concatenate((labels, labels))
    train = CodeRows(coded(quantiser, processor, seen, say), labels, count)
    ids = coded(quantiser, processor, signals.held_out.signals, say)
    held_out = CodeRows(ids, signals.held_out.labels, count)
    say(f"{len(np.unique(train.ids)):,} of {count:,} codes stand for {len(seen):,} pictures, {ids.shape[1]} for each")
    blueprint = recipe.fitted(count + len(signals.classes))
    if blueprint.config.context < ids.shape[1]:
        raise ValueError(
            f"a picture has {ids.shape[1]} codes and the model places {blueprint.config.context}: set "
            f"model.context={ids.shape[1]}"
        )
    check(held_out, recipe.minimised)
    digest = hashlib.sha256(f"{signals.digest}/{quantiser.digest}/{settings.mirrored}".encode()).hexdigest()
    return CodeFeed(recipe, blueprint, train, held_out, signals.notices, quantiser, processor, signals.classes, digest)
