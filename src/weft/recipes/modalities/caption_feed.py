"""Captions as the data of a run: their tokenizer, their processor, how often the right text is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from weft.batch import Tokenizer
from weft.data.captions import Captions
from weft.data.signals import write_processor
from weft.evaluate.judged import judged
from weft.evaluate.retrieval import ASKED, classified, recalls, scored, vectors_of_pairs
from weft.files import DamagedFile, read_json, write_json
from weft.hub import load
from weft.models import Blueprint
from weft.nn.towers import Towers
from weft.objectives import bare
from weft.recipes.feed import Told
from weft.recipes.modalities.signal_feed import SignalFeed
from weft.recipes.recipe import Recipe
from weft.training.watch import Watcher

CLASSES, MOST_KEPT = "captions.json", 10_000  # what a model's folder says of its classes and captions; of these


@dataclass(frozen=True)
class CaptionFeed(SignalFeed):
    """Rows of ids and rows of patches."""

    captions: Captions

    @property
    def longest(self) -> int | None:  # type: ignore[override]
        """See `Captions`."""
        return self.captions.longest

    @property
    def digest(self) -> str:
        """See `Captions`."""
        return self.captions.digest

    @property
    def split(self) -> tuple[str, ...]:
        """See `Captions`."""
        return (self.captions.split,)

    def write(self, out: Path) -> None:
        """The tokenizer, the processor, and what pictures may be held against: prompts of classes, known captions."""
        found = self.captions
        found.tokenizer.save(out)
        write_processor(out, found.processor)
        column = self.recipe.data.text_column
        known = dict.fromkeys(row[column] for data in (found.train, found.held_out) for row in data.rows)
        classes = {name: list(prompts) for name, prompts in found.classes.items()}
        write_json(out / CLASSES, {"classes": classes, "captions": list(known)[:MOST_KEPT]})

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Of the texts."""
        return self.captions.tokenizer

    def figures(
        self, module: nn.Module, share: tuple[int, int], total: Callable[[Sequence[float]], list[float]]
    ) -> dict[str, float]:
        """The mean loss, recalls among all that is held out, both ways, and how many classes are right."""
        loss = judged(module, self.held_out, self.recipe.minimised, share=share, total=total)
        towers = bare(module)
        assert isinstance(towers, Towers)
        hits, zero_shot = found_by(towers, self.captions, self.blueprint.config.context)
        right = {} if zero_shot is None else {"zero_shot_accuracy": float(zero_shot.mean())}
        return loss | {name: float(found.mean()) for name, found in hits.items()} | right

    def told(self, recipe: Recipe, out: Path, watch: Watcher, *, finished: bool) -> Told:
        """Of the finished model, as it was saved, the same with definitions and intervals."""
        if not finished:
            return Told()
        towers = load(out).module
        assert isinstance(towers, Towers)
        hits, zero_shot = found_by(towers, self.captions, self.blueprint.config.context)
        beside = recipe.data.asked
        return Told(metrics=scored(hits, zero_shot, len(self.captions.classes), beside=beside))

    def account(self) -> dict[str, Any]:
        """Samples, ids and classes."""
        return {
            "samples": [len(self.train), len(self.held_out)],
            "vocabulary": self.captions.tokenizer.vocab,
            "classes": len(self.captions.classes),
            "digest": self.digest,
        }


def found_by(towers: Towers, captions: Captions, context: int) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Whether each held-out picture and text finds its own, see `recalls`, and whether the likeliest class is right,
    bool [N]; None where there are no classes."""
    texts, images, right = vectors_of_pairs(towers, captions.held_out)
    hits = recalls(texts, images, right)
    if captions.asked is not None:
        hits |= {name + ASKED: found for name, found in recalls(*vectors_of_pairs(towers, captions.asked)).items()}
    if not captions.classes:
        return hits, None
    likely = classified(towers, images, captions.classes, captions.tokenizer, context)  # [N, C]
    return hits, likely.argmax(dim=-1).numpy() == captions.classes_held_out


def fitted(model: Blueprint, tokenizer: Tokenizer, *, begun: bool) -> Blueprint:
    """The model with a tokenizer's ids; one that a run begins with keeps rows it has to spare, and reads a text where
    it did."""
    model = model.change("text.vocab", str(max(tokenizer.vocab, model.config.vocab if begun else 0)))
    reads_end = "end" in {field.name for field in fields(model.config.text.config)}
    return model.change("text.end", str(tokenizer.end)) if reads_end and not begun else model


def read_known(folder: Path) -> tuple[dict[str, list[str]], list[str]]:
    """The prompts of each class and the captions that `CaptionFeed.write` wrote; nothing where it wrote nothing."""
    path = folder / CLASSES
    if not path.is_file():
        return {}, []
    data = read_json(path)
    if not isinstance(data, dict) or data.keys() != {"classes", "captions"}:
        raise DamagedFile(f"{path} has classes and captions, and no more")
    return {str(name): list(map(str, texts)) for name, texts in data["classes"].items()}, list(
        map(str, data["captions"])
    )
