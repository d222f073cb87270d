"""What a model says of pictures, one by one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from weft.data.progress import counted
from weft.data.signals import Patches
from weft.data.signals.given import given_pictures
from weft.data.sources import Say, quiet
from weft.evaluate import METRICS
from weft.files import write_bytes
from weft.hub import Model, load
from weft.nn import Encoder
from weft.recipes.predicted import Predicted
from weft.training.world import place

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
    are (see `given_pictures`), and the accuracy is computed. ValueError or DamagedFile names what is wrong.
    """
    model = load(folder, device=device if device != "auto" else place("auto"))
    reads = model.reads
    if reads is None or not isinstance(reads.processor, Patches):
        raise ValueError(f"{folder} reads no pictures: name a model that was trained on some")
    given = given_pictures(Path(data), reads.processor, reads.classes, say)
    if labelled and (unknown := [n for n, known in zip(given.names, given.classes, strict=True) if known is None]):
        raise ValueError(
            f"nothing says what {len(unknown):,} of {len(given.names):,} pictures are, {unknown[0]} say: put each into "
            f"a folder that is called as its class ({', '.join(reads.classes[:10])}), or leave --score out"
        )
    found = probabilities(model, given.signals, reads.processor, say)
    guesses = [reads.classes[number] for number in found.argmax(axis=1)]
    if out is not None:
        lines = [
            {"file": name, "class": guess, "probabilities": _likeliest(row, reads.classes)}
            for name, guess, row in zip(given.names, guesses, found, strict=True)
        ]
        write_bytes(Path(out), "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
    if not labelled:
        return Predicted(len(guesses), None, None)
    metric, gold = METRICS.get("accuracy"), [str(name) for name in given.classes]
    return Predicted(len(guesses), metric.score(guesses, gold), metric.interval(guesses, gold, say))


def probabilities(model: Model, signals: np.ndarray, processor: Patches, say: Say = quiet) -> np.ndarray:
    """p(class | picture) of uint8 [N, image, image, channels], fp32 [N, classes]."""
    module, parts = model.module, list[torch.Tensor]()
    if not isinstance(module, Encoder) or "classes" not in module.heads:
        raise ValueError("this model has no head for classes: train one, or take its states")
    device, advance = next(module.parameters()).device, counted(say, "asked", len(signals))
    with torch.inference_mode():
        for start in range(0, len(signals), ROWS):
            rows = torch.from_numpy(processor.rows(signals[start : start + ROWS])).to(device)  # [B, T, C]
            states, _ = module(rows)
            parts.append(module.logits(states, "classes").float().softmax(dim=-1).cpu())  # [B, classes]
            advance(len(rows))
    return torch.cat(parts).numpy()


def _likeliest(row: np.ndarray, classes: tuple[str, ...]) -> dict[str, float]:
    best = np.argsort(-row[: len(classes)])[:LIKELIEST]
    return {classes[number]: round(float(row[number]), 4) for number in best}
