"""Texts held against images: how often the right one is among the nearest, and classes told apart by prompts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from weft.batch import Batch, Dataset, Tokenizer
from weft.data.captions import rows_of
from weft.data.order import places
from weft.evaluate.intervals import Bootstrap
from weft.evaluate.metric import Score
from weft.nn.towers import Towers
from weft.objectives import layout
from weft.objectives.matched import belongs

ROWS = 256  # of a pass
NEAREST = (1, 5)
ASKED = "_with_columns"  # behind the name of a figure of texts that say more than a caption


@torch.no_grad()
def vectors_of_images(towers: Towers, rows: np.ndarray | Tensor) -> Tensor:
    """A vector of length 1 for each row of patches [N, S, C], fp32 [N, E] on the CPU, of the towers as they stand."""
    device = next(towers.parameters()).device
    parts = torch.as_tensor(rows).split(ROWS)
    return torch.cat([towers.encode_images(part.to(device)).float().cpu() for part in parts])


@torch.no_grad()
def vectors_of_texts(towers: Towers, texts: Sequence[str], tokenizer: Tokenizer, context: int) -> Tensor:
    """The same of texts."""
    device = next(towers.parameters()).device
    parts = (rows_of(texts[at : at + ROWS], tokenizer, context).to(device) for at in range(0, len(texts), ROWS))
    return torch.cat([towers.encode_texts(part.tokens, layout(part)).float().cpu() for part in parts])


@torch.no_grad()
def vectors_of_pairs(towers: Towers, dataset: Dataset[Batch]) -> tuple[Tensor, Tensor, np.ndarray]:
    """Of all pairs of a data set: the texts' vectors and the images', fp32 [N, E], and which belong together, bool
    [N, N], a row a text."""
    device, batch = next(towers.parameters()).device, dataset.batch(places(0, range(len(dataset))))
    assert batch.source is not None
    texts, here = batch.tokens, batch.segments
    made = list[Tensor]()
    for at in range(0, len(texts), ROWS):
        part = Batch(texts[at : at + ROWS], segments=None if here is None else here[at : at + ROWS]).to(device)
        made.append(towers.encode_texts(part.tokens, layout(part)).float().cpu())
    return torch.cat(made), vectors_of_images(towers, batch.source.tokens), belongs(batch).numpy()


def ranks(cosines: np.ndarray, right: np.ndarray) -> np.ndarray:
    """How many wrong ones are at least as near as the nearest right one, int64 [N]: cosines [N, M], right bool [N, M],
    one at least in each row. 0: it is the nearest."""
    best = np.where(right, cosines, -np.inf).max(axis=1, keepdims=True)  # [N, 1]
    return ((cosines >= best) & ~right).sum(axis=1)


def recalls(texts: Tensor, images: Tensor, right: np.ndarray) -> dict[str, np.ndarray]:
    """Whether a right one is among the nearest, bool [N] each: "image_to_text_recall_at_5" and so on. right: as
    `belongs` says it, a row a text."""
    cosines = images.numpy() @ texts.numpy().T  # [N, N], in fp32 also where training's autocast would round ranks
    sides = {"image_to_text": ranks(cosines, right.T), "text_to_image": ranks(cosines.T, right)}
    return {f"{side}_recall_at_{most}": found < most for most in reversed(NEAREST) for side, found in sides.items()}


@torch.no_grad()
def classified(
    towers: Towers,
    images: Tensor,
    classes: Mapping[str, Sequence[str]],
    tokenizer: Tokenizer,
    context: int,
) -> Tensor:
    """p(class | picture), fp32 [N, C], of vectors [N, E]: a softmax over all prompts of all classes, of which a class
    has the sum of its own. (Radford et al. 2021, §3.1.4, take the mean of the prompts' vectors: theirs say one thing in
    many ways, and a class's here may be many things.)"""
    texts = [prompt for prompts in classes.values() for prompt in prompts]
    vectors, device = vectors_of_texts(towers, texts, tokenizer, context), towers.scale.device
    with torch.autocast(device.type, enabled=False):
        shares = towers.scores(vectors.to(device), images.to(device)).mT.softmax(dim=-1).cpu()  # [N, prompts]
    parts = shares.split([len(prompts) for prompts in classes.values()], dim=-1)
    return torch.stack([part.sum(dim=-1) for part in parts], dim=-1)


def share(name: str, hits: np.ndarray, of: str) -> Score:
    """The share of hits, bool [N], with its definition and interval."""
    found = Bootstrap().mean(hits.astype(float))
    return Score(found.value, f"{of}; 95% interval {found.low:.3f} to {found.high:.3f}", name)


def scored(
    hits: Mapping[str, np.ndarray], zero_shot: np.ndarray | None = None, classes: int = 0, *, beside: str = ""
) -> dict[str, Score]:
    """Recalls and, where there are any, right classes, each with its definition. beside: the template by which texts
    are read in those recalls whose name ends in ASKED."""
    told = dict[str, Score]()
    for name, found in hits.items():
        plain = name.removesuffix(ASKED)
        one, _, other = plain.partition("_recall_at_")[0].partition("_to_")
        most, read = plain.rpartition("_")[2], "" if plain == name else f", read as {beside!r}"
        said = f"share of {len(found):,} {one}s whose own {other} is among the {most} nearest of theirs{read}"
        told[name] = share(name, found, said)
    if zero_shot is not None:
        said = f"share of {len(zero_shot):,} images whose class has the likeliest prompts, of {classes}"
        told["zero_shot_accuracy"] = share("zero_shot_accuracy", zero_shot, said)
    return told
