"""What a model says of pictures, one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from weft.data.names import Side
from weft.data.progress import counted
from weft.data.sides import held_out, kept_back
from weft.data.signals import Patches
from weft.data.signals.given import all_files, given_pictures, untrained
from weft.data.signals.prepare import class_files
from weft.data.sources import Say, quiet
from weft.evaluate import METRICS
from weft.files import write_bytes
from weft.hub import Model
from weft.nn import Encoder
from weft.recipes.folder import own_data
from weft.recipes.modalities.judge import opened
from weft.recipes.predicted import Predicted

ROWS, LIKELIEST = 256, 5  # of a pass; of the classes whose probabilities are told


def predict_signals(
    folder: Path | str,
    data: Path | str,
    out: Path | str | None,
    *,
    labelled: bool = False,
    device: str = "auto",
    say: Say = quiet,
) -> Predicted:
    """Write one JSON object for each picture: its name, its likeliest class, the probabilities of the five likeliest.

    data: a picture, a folder of them, or an idx file. out: None writes nothing. labelled: the pictures say what they
    are (see `given_pictures`), and the accuracy is computed, of those that the model was trained on of what was held
    out alone. ValueError or DamagedFile names what is wrong.
    """
    model, processor, classes = opened(folder, device)

    def ask(signals: np.ndarray) -> np.ndarray:
        return probabilities(model, signals, processor, say)

    return answered(folder, data, out, processor, classes, ask, labelled=labelled, say=say)


def answered(
    folder: Path | str,
    data: Path | str,
    out: Path | str | None,
    processor: Patches,
    classes: tuple[str, ...],
    ask: Callable[[np.ndarray], np.ndarray],
    *,
    labelled: bool,
    say: Say,
) -> Predicted:
    """What `predict_signals` writes, of whoever is asked. ask: pictures uint8 [N, image, image, channels] ->
    p(class | picture), [N, classes]."""
    own, apart = own_data(Path(folder), Path(data)) if labelled else None, False

    def choose(names: Sequence[str], sides: Sequence[Side | None]) -> Sequence[int] | np.ndarray:
        nonlocal apart
        if own is not None:
            held = held_out(names, sides, own.settings.held_out, own.settings.seed)
            numbers, apart = kept_back(own.still(held, names, sides), "pictures", say)
            return numbers
        only = labelled and out is None  # a figure is asked for, and nothing else
        return untrained(sides, say) if only else range(len(names))

    listed = all_files if own is None else class_files
    given = given_pictures(Path(data), processor, classes, say, choose=choose, listed=listed)
    if labelled and (unknown := [n for n, known in zip(given.names, given.classes, strict=True) if known is None]):
        raise ValueError(
            f"nothing says what {len(unknown):,} of {len(given.names):,} pictures are, {unknown[0]} say: put each into "
            f"a folder that is called as its class ({', '.join(classes[:10])}), or leave --score out"
        )
    found = ask(given.signals)[:, : len(classes)]  # a head may have more than the data named
    guesses = [classes[number] for number in found.argmax(axis=1)]
    if out is not None:
        write_bytes(Path(out), _lines(given.names, guesses, found, classes).encode())
    if not labelled:
        return Predicted(len(guesses), None, None)
    metric, gold = METRICS.get("accuracy"), [str(name) for name in given.classes]
    interval = metric.interval(guesses, gold, say)
    return Predicted(len(guesses), metric.score(guesses, gold), interval, apart=apart)


def probabilities(model: Model, signals: np.ndarray, processor: Patches, say: Say = quiet) -> np.ndarray:
    """p(class | picture) of uint8 [N, image, image, channels], fp32 [N, classes]."""
    module = model.module
    if not isinstance(module, Encoder) or "classes" not in module.heads:
        raise ValueError("this model has no head for classes: train one, or take its states")
    return _passed(module, signals, processor, lambda x: module.logits(x, "classes").float().softmax(dim=-1), say)


def embed_pictures(
    folder: Path, data: Path, *, device: str = "auto", say: Say = quiet
) -> tuple[tuple[str, ...], np.ndarray]:
    """What each picture is called, and its vector, fp32 [N, D]: the model's pooled state, or the mean of its states
    where it pools none. data: as in `predict_signals`. ValueError for a model that is no encoder of pictures."""
    model, processor, classes = opened(folder, device)
    module = model.module
    if not isinstance(module, Encoder):
        raise ValueError(f"{folder} is no encoder, and makes no vectors of pictures: name one of their encoders")
    given = given_pictures(data, processor, classes, say)

    def pooled(x: torch.Tensor) -> torch.Tensor:
        return (x.mean(dim=1) if module.pooler is None else module.pool(x)).float()  # [B, D]

    return given.names, _passed(module, given.signals, processor, pooled, say)


def _passed(
    module: Encoder,
    signals: np.ndarray,
    processor: Patches,
    asked: Callable[[torch.Tensor], torch.Tensor],
    say: Say,
) -> np.ndarray:
    """What is asked of the states [B, T, D] of all pictures, fp32 [N, …]."""
    device, advance, parts = next(module.parameters()).device, counted(say, "asked", len(signals)), list[torch.Tensor]()
    with torch.inference_mode():
        for start in range(0, len(signals), ROWS):
            rows = torch.from_numpy(processor.rows(signals[start : start + ROWS])).to(device)  # [B, T, C]
            parts.append(asked(module(rows)[0]).cpu())
            advance(len(rows))
    return torch.cat(parts).numpy()


def _lines(names: Sequence[str], guesses: Sequence[str], found: np.ndarray, classes: tuple[str, ...]) -> str:
    """A JSON object for each picture."""
    lines = [
        {"file": name, "class": guess, "probabilities": _likeliest(row, classes)}
        for name, guess, row in zip(names, guesses, found, strict=True)
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _likeliest(row: np.ndarray, classes: tuple[str, ...]) -> dict[str, float]:
    best = np.argsort(-row[: len(classes)])[:LIKELIEST]
    return {classes[number]: round(float(row[number]), 4) for number in best}
