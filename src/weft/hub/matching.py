"""Texts held against pictures with a model of two towers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from weft.data.signals import Patches
from weft.evaluate.retrieval import vectors_of_images, vectors_of_texts
from weft.generate.cached import evaluating
from weft.hub.model import Model
from weft.nn.towers import Towers

Pictures = Sequence[Path | str] | np.ndarray


def scores(model: Model, pictures: Pictures, texts: Sequence[str]) -> Tensor:
    """How well each picture fits each text, fp32 [N, M]: cosines at the model's learned temperature, with its bias. A
    softmax over the texts says which one fits; of a model with a bias, a sigmoid whether one does.

        scores(model, ["cat.png"], ["a cat", "a dog"]).softmax(-1)

    pictures: files, or pixels uint8 [N, height, width, channels]. ValueError for a model without two towers, a
    tokenizer or a processor, and naming a file that is no picture.
    """
    towers = towers_of(model)
    images, vectors = image_vectors(model, pictures), text_vectors(model, texts)
    with torch.no_grad():
        device = towers.scale.device
        return towers.scores(vectors.to(device), images.to(device)).mT.cpu()  # [N, M]


def image_vectors(model: Model, pictures: Pictures) -> Tensor:
    """A vector of length 1 for each picture, fp32 [N, E]."""
    towers, patches = towers_of(model), patches_of(model)
    if isinstance(pictures, np.ndarray):
        pixels = np.stack([patches.fitted(one) for one in pictures])
    else:
        pixels = np.stack([patches.read(Path(path)) for path in pictures])
    with evaluating(list(towers.modules())):
        return vectors_of_images(towers, patches.rows(pixels))


def text_vectors(model: Model, texts: Sequence[str]) -> Tensor:
    """The same of texts, [M, E]."""
    if isinstance(texts, str):
        raise ValueError("texts are a list: [text]")
    towers = towers_of(model)
    with evaluating(list(towers.modules())):
        return vectors_of_texts(towers, texts, model.need_tokenizer(), model.config.context)


def towers_of(model: Model) -> Towers:
    """ValueError for a model that has none."""
    if not isinstance(model.module, Towers):
        raise ValueError(f"{model.blueprint.family} is no pair of a text's tower and a picture's: load one that is")
    return model.module


def patches_of(model: Model) -> Patches:
    """What makes rows of pictures. ValueError where the model's folder does not say it."""
    if model.reads is None or not isinstance(model.reads.processor, Patches):
        raise ValueError("this model's folder does not say how pictures become rows (processor.json): save it there")
    return model.reads.processor
