"""What a model says of pictures and texts held against each other."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from weft.data.captions import CaptionSettings, open_captions, read_images, read_lines
from weft.data.records import record_kind
from weft.data.sides import asked as asked_of
from weft.data.sources import Say, quiet
from weft.evaluate import Interval
from weft.evaluate.intervals import Bootstrap
from weft.evaluate.metric import Score
from weft.evaluate.retrieval import classified, recalls, scored
from weft.files import write_bytes
from weft.hub import Model, load
from weft.hub.matching import image_vectors, patches_of, text_vectors, towers_of
from weft.objectives.matched import related
from weft.recipes.folder import data_settings, own_data
from weft.recipes.modalities.caption_feed import read_known
from weft.recipes.predicted import Predicted
from weft.training.world import place

TOLD = 5  # of the nearest
HEADLINE = "image_to_text_recall_at_5"


def predict_captions(
    folder: Path,
    data: Path,
    out: Path | None,
    *,
    labelled: bool,
    choices: Path | None = None,
    device: str = "auto",
    say: Say = quiet,
) -> Predicted:
    """Write one JSON object for each picture: its name, the five nearest texts with their cosines and, of a model that
    was trained with classes, the likeliest class and the five likeliest's probabilities.

    data: a picture, a folder of them, an array (.npy), or a table of captions, whose texts are then what is chosen
    from. choices: a file of texts, one a line, to choose from in place of the captions that the run knew. labelled:
    data are captions as they are trained on, and recalls among them are computed, of those that the run was trained on
    among what it held out. ValueError or DamagedFile names what is wrong.
    """
    model = load(folder, device=device if device != "auto" else place("auto"))
    classes, known = read_known(folder)
    own, apart = list[str](), False
    if labelled or record_kind(data) is not None:
        names, pixels, own, apart = _captions(model, folder, data, say, labelled=labelled)
    else:
        names, pixels = read_images(data, patches_of(model), say)
    texts = list(dict.fromkeys(read_lines(choices) if choices is not None else own or known))
    if not texts:
        raise ValueError(f"{folder} knows no captions to choose from: give a file of some, one a line (--among FILE)")
    images, there = image_vectors(model, pixels), text_vectors(model, texts)
    if out is not None:
        lines = _lines(model, names, images, there, texts, {} if choices is not None else classes)
        write_bytes(out, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
    if not labelled:
        return Predicted(len(names), None, None)
    score, interval = _score(images, text_vectors(model, own), own, names)
    return Predicted(len(names), score, interval, apart=apart)


def embed_captions(
    folder: Path, data: Path, *, device: str = "auto", say: Say = quiet
) -> tuple[Sequence[str], np.ndarray]:
    """Vectors of length 1, fp32 [N, E]: of the lines of a .txt, else of pictures."""
    model = load(folder, device=device if device != "auto" else place("auto"))
    if data.suffix == ".txt":
        texts = read_lines(data)
        return texts, text_vectors(model, texts).numpy()
    names, pixels = read_images(data, patches_of(model), say)
    return names, image_vectors(model, pixels).numpy()


def _captions(
    model: Model, folder: Path, data: Path, say: Say, *, labelled: bool
) -> tuple[tuple[str, ...], np.ndarray, list[str], bool]:
    """Names, pictures and texts of captions, read as the model's run read its own, and whether they are those alone
    that it held out, as they are where it was trained on them and they are labelled."""
    was = data_settings(folder)
    usual = was if isinstance(was, CaptionSettings) else CaptionSettings()
    asked = CaptionSettings(
        paths=(str(data),), image_column=usual.image_column, text_column=usual.text_column, pictures=usual.pictures
    )
    found, own = open_captions(asked, patches_of(model), say), labelled and own_data(folder, data) is not None
    if own:
        found = found.only(asked_of(found.held(usual), "captions", say))
    names = tuple(row.get(asked.image_column, text) for row, text in zip(found.rows, found.texts, strict=True))
    return names, found.signals, list(found.texts), own


def _score(images: Tensor, texts: Tensor, own: Sequence[str], names: Sequence[str]) -> tuple[Score, Interval]:
    """The recall that is looked for first, with the others in its definition. own: each row's text, names: what its
    picture is called."""
    paths = [os.path.normpath(name) for name in names]
    numbers = (torch.from_numpy(np.unique(words, return_inverse=True)[1]) for words in (own, paths))
    hits = recalls(texts, images, related(*numbers).numpy())
    told = scored(hits)
    others = ", ".join(
        f"{name.replace('_', ' ')} {score.value:.3f}" for name, score in told.items() if name != HEADLINE
    )
    signature = f"{told[HEADLINE].signature.partition(';')[0]}; {others}"
    return Score(told[HEADLINE].value, signature, HEADLINE), Bootstrap().mean(hits[HEADLINE].astype(float))


def _lines(
    model: Model,
    names: Sequence[str],
    images: Tensor,
    there: Tensor,
    texts: Sequence[str],
    classes: Mapping[str, list[str]],
) -> list[dict[str, object]]:
    """What is said of each picture."""
    cosines = (images @ there.mT).numpy()  # [N, M]
    nearest = [{texts[at]: round(float(row[at]), 4) for at in np.argsort(-row)[:TOLD]} for row in cosines]
    lines: list[dict[str, object]] = [
        {"file": name, "captions": near} for name, near in zip(names, nearest, strict=True)
    ]
    if not classes:
        return lines
    towers, words = towers_of(model), model.need_tokenizer()
    shares = classified(towers, images, classes, words, model.config.context).numpy()  # [N, C]
    called = list(classes)
    for line, row in zip(lines, shares, strict=True):
        best = np.argsort(-row)[:TOLD]
        line["class"] = called[best[0]]
        line["probabilities"] = {called[at]: round(float(row[at]), 4) for at in best}
    return lines
